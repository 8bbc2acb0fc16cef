//! The table of mounts: where the control groups are, and which file systems lie on devices of this host.

use super::cgroup::{Controller, Hierarchy};
use muster_protocol::limits;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// Bytes of the table that are read. Each running container has a line of up to some thousand bytes.
const TABLE: u64 = 2 * 1024 * 1024;
/// A line that is longer is one of an overlay with a great many layers, and passed over.
const LINE: usize = 4096;

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount<'a> {
    /// Major and minor number of its device.
    pub device: &'a str,
    /// Which part of the file system is mounted.
    pub root: &'a str,
    /// Where, with the kernel's escapes.
    pub point: &'a str,
    /// The file system's type.
    pub kind: &'a str,
    /// What is mounted.
    pub source: &'a str,
    /// What the file system itself was told.
    pub options: &'a str,
}

/// Reads one line of `mountinfo`.
pub fn parse(line: &str) -> Option<Mount<'_>> {
    let (mount, file_system) = line.split_once(" - ")?;
    let mut mount = mount.split_ascii_whitespace().skip(2);
    let mut file_system = file_system.split_ascii_whitespace();
    Some(Mount {
        device: mount.next()?,
        root: mount.next()?,
        point: mount.next()?,
        kind: file_system.next()?,
        source: file_system.next()?,
        options: file_system.next().unwrap_or_default(),
    })
}

/// A path without the kernel's escapes (`\040` for a space).
pub fn unescaped(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let digits = behind.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &behind[3..];
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

/// A file system on a device of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskMount {
    /// Where it is mounted.
    pub path: String,
    /// Major and minor number of its device, or what stands for it.
    pub device: String,
    /// A part of it is mounted, and not the whole.
    is_part: bool,
}

impl DiskMount {
    /// Whether this one tells more of the same device than another one: the whole of it, and where it is looked for.
    fn is_better_than(&self, other: &DiskMount) -> bool {
        (self.is_part, self.path.len(), &self.path) < (other.is_part, other.path.len(), &other.path)
    }
}

/// What the table of mounts says.
#[derive(Debug, Default)]
pub struct Mounts {
    /// Where control groups are.
    pub hierarchy: Hierarchy,
    /// At most [`limits::DISKS`], one for each device, those nearest to the root.
    pub disks: Vec<DiskMount>,
}

impl Mounts {
    /// Reads the table in this file; paths in it are below `root`.
    pub fn read(table: &Path, root: &Path) -> io::Result<Mounts> {
        let mut mounts = Mounts::default();
        let mut reader = BufReader::with_capacity(LINE, File::open(table)?.take(TABLE));
        let mut line = Vec::with_capacity(256);
        loop {
            line.clear();
            let read = (&mut reader).take(LINE as u64).read_until(b'\n', &mut line)?;
            if read == 0 {
                break;
            }
            if line.last() != Some(&b'\n') && read == LINE {
                skip_line(&mut reader)?;
                continue;
            }
            if let Some(mount) = std::str::from_utf8(&line).ok().and_then(|line| parse(line.trim_end())) {
                mounts.add(&mount, root);
            }
        }
        mounts.disks.sort_by(|a, b| (a.path.len(), &a.path).cmp(&(b.path.len(), &b.path)));
        mounts.disks.truncate(limits::DISKS);
        Ok(mounts)
    }

    fn add(&mut self, mount: &Mount<'_>, root: &Path) {
        // What is mounted over another one hides it: a hardened service has nothing in the place of `/home`.
        if !self.disks.is_empty()
            && let Some(point) = unescaped(mount.point)
        {
            self.disks.retain(|disk| disk.path != point);
        }
        match mount.kind {
            "cgroup2" => self.hierarchy.add(Controller::Unified, mount, root),
            "cgroup" => {
                for controller in Controller::VERSION_1 {
                    if mount.options.split(',').any(|option| Some(option) == controller.name()) {
                        self.hierarchy.add(controller, mount, root);
                    }
                }
            }
            _ => self.add_disk(mount),
        }
    }

    fn add_disk(&mut self, mount: &Mount<'_>) {
        let Some(device) = device_of(mount) else { return };
        let Some(path) = unescaped(mount.point).filter(|path| path.len() <= limits::PATH) else { return };
        let disk = DiskMount { path, device, is_part: mount.root != "/" };
        match self.disks.iter().position(|known| known.device == disk.device) {
            Some(at) if disk.is_better_than(&self.disks[at]) => self.disks[at] = disk,
            None if self.disks.len() < MOST_DISKS => self.disks.push(disk),
            Some(_) | None => {}
        }
    }
}

/// Devices of which the best are chosen.
const MOST_DISKS: usize = 8 * limits::DISKS;

/// File systems that are always full, and one of which a question may never be answered, because a program does it.
const PASSED_OVER: [&str; 4] = ["squashfs", "iso9660", "erofs", "fuseblk"];

/// What stands for the device that a file system lies on; `None` if that is not on this host, or in memory.
fn device_of(mount: &Mount<'_>) -> Option<String> {
    if PASSED_OVER.contains(&mount.kind) {
        return None;
    }
    // Those of btrfs and ZFS have made-up numbers, and several file systems share one room.
    if mount.kind == "zfs" {
        return mount.source.split('/').next().map(String::from);
    }
    let is_made_up = mount.device.starts_with("0:");
    mount.source.starts_with("/dev/").then(|| if is_made_up { mount.source } else { mount.device }.to_string())
}

fn skip_line(reader: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = reader.fill_buf()?;
        let (used, ended) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        reader.consume(used);
        if ended {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::join::state_dir::TestDir;

    fn read(text: &str) -> Mounts {
        let dir = TestDir::new();
        let table = dir.path().join("mountinfo");
        std::fs::write(&table, text).unwrap();
        Mounts::read(&table, Path::new("/")).unwrap()
    }

    #[test]
    fn a_line_with_and_without_optional_fields() {
        let mount =
            parse("36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 - ext3 /dev/root rw,errors=continue").unwrap();
        assert_eq!((mount.device, mount.root, mount.kind, mount.source), ("98:0", "/mnt1", "ext3", "/dev/root"));
        assert_eq!((unescaped(mount.point).as_deref(), mount.options), (Some("/mnt 2"), "rw,errors=continue"));
        let mount = parse("27 1 254:0 / / rw,relatime - ext4 /dev/vda rw").unwrap();
        assert_eq!((mount.point, mount.kind), ("/", "ext4"));
        assert_eq!((parse("27 1 254:0 / / rw"), parse(""), parse("a - b")), (None, None, None));
        assert_eq!((unescaped("a\\04"), unescaped("\\999x")), (Some("a\\04".into()), Some("\\999x".into())));
    }

    #[test]
    fn each_device_counts_once_and_by_its_best_name() {
        let mounts = read(
            "22 1 179:2 /home/x /srv rw - ext4 /dev/mmcblk0p2 rw\n\
             23 1 179:2 / / rw shared:1 - ext4 /dev/mmcblk0p2 rw\n\
             24 23 179:1 / /boot/firmware rw - vfat /dev/mmcblk0p1 rw\n\
             25 23 0:5 / /dev rw - devtmpfs udev rw\n\
             26 23 0:40 / /proc rw - proc proc rw\n\
             27 23 0:41 /@ /data rw - btrfs /dev/sda1 rw,subvol=/@\n\
             28 23 0:41 /@h /data/home rw - btrfs /dev/sda1 rw,subvol=/@h\n\
             29 23 0:50 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw\n\
             30 23 7:1 / /snap/core/1 ro - squashfs /dev/loop1 ro\n\
             31 23 8:17 / /stick rw - fuseblk /dev/sdb1 rw\n\
             32 23 0:60 / /net rw - nfs4 nas:/x rw\n",
        );
        let paths: Vec<_> = mounts.disks.iter().map(|disk| disk.path.as_str()).collect();
        assert_eq!(paths, ["/", "/data", "/boot/firmware"]);
    }

    #[test]
    fn what_is_hidden_by_another_mount_does_not_count() {
        let mounts = read(
            "1 1 0:2 / / rw - rootfs rootfs rw\n23 1 8:2 / / rw - ext4 /dev/sda2 rw\n\
             24 23 0:30 / /boot rw - autofs systemd-1 rw\n25 24 8:1 / /boot rw - vfat /dev/sda1 rw\n\
             26 23 8:3 / /home\\040s rw - ext4 /dev/sda3 rw\n27 26 0:31 /inaccessible /home\\040s ro - tmpfs tmpfs ro\n",
        );
        let paths: Vec<_> = mounts.disks.iter().map(|disk| disk.path.as_str()).collect();
        assert_eq!(paths, ["/", "/boot"]);
    }

    #[test]
    fn no_more_than_the_limit_and_those_nearest_to_the_root() {
        let mut text = String::new();
        for n in (0..40).rev() {
            text += &format!("{n} 1 8:{n} / /mnt/{} rw - ext4 /dev/sd{n} rw\n", "x".repeat(n + 1));
        }
        let mounts = read(&text);
        assert_eq!(mounts.disks.len(), limits::DISKS);
        assert_eq!(mounts.disks[0].path, "/mnt/x");
    }

    #[test]
    fn long_lines_are_passed_over() {
        let layers = "l".repeat(3 * LINE);
        let text = format!(
            "29 23 0:50 / /m rw - overlay overlay rw,lowerdir={layers}\n23 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
             24 1 8:2 / /b rw - ext4 /dev/sda2 rw,x={layers}"
        );
        assert_eq!(read(&text).disks.len(), 1);
        assert_eq!(read("").disks.len(), 0);
    }
}
