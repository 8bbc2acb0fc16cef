#!/bin/sh
# Runs as root before each start of the service. While muster-agent.trial is there, an upgrade waits for the new agent to
# report. If whoever waited is gone (the power was cut, or the command was ended), the agent from before is put back.
# It must work whatever the agent is: so it is no part of it.
bin=/usr/local/bin/muster-agent

[ -e "$bin.trial" ] || exit 0
# Written by the upgrade: in which life of the machine, and which process waits.
read -r boot waiting <"$bin.trial"
if [ "$boot" = "$(cat /proc/sys/kernel/random/boot_id)" ] && [ -n "$waiting" ] && [ -d "/proc/$waiting" ]; then
    exit 0
fi
if [ -f "$bin.previous" ]; then
    mv -f "$bin.previous" "$bin"
fi
# In this order, and each on the disk before the next: another power cut finds the one or the other.
sync
rm -f "$bin.trial" "$bin.new"
echo 'muster: an upgrade was cut off; the agent from before is back' >&2
