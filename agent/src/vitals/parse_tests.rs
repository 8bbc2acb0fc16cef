use super::*;
use crate::docker::seeded::Seeded;

#[test]
fn processors_are_busy_when_they_are_not_idle() {
    let text = "cpu  100 10 50 5000 700 1 2 3 40 4\ncpu0 1 2 3 4\ncpu1 1 2 3 4\nintr 5 6 7\nctxt 9\n";
    assert_eq!(processors(text), Some(Processors { busy_ms: (100 + 10 + 50 + 1 + 2 + 3) * 10, count: 2 }));
    // A kernel from before times were stolen, on a machine whose processors are not listed.
    assert_eq!(processors("cpu  1 2 3 4\nintr 1\n"), Some(Processors { busy_ms: 60, count: 1 }));
    assert_eq!((processors("cpu  1 2\n"), processors(""), processors("intr 5 5 5 5")), (None, None, None));
}

#[test]
fn load_and_uptime_are_read_without_fractions_being_rounded() {
    assert_eq!(load("1.07 0.50 1.40 2/108 19229\n"), Some(107));
    assert_eq!((load("12 1 1"), load("x.07"), load("")), (None, None, None));
    assert_eq!(uptime("24431.26 14834.30\n"), Some(24431));
}

#[test]
fn memory_is_what_meminfo_says_and_old_kernels_do_not_say_what_is_available() {
    let text = "MemTotal:        3884268 kB\nMemFree:          100 kB\nMemAvailable:    2509988 kB\nSwapCached: 5 kB\n\
                SwapTotal:        102396 kB\nSwapFree:          99996 kB\n";
    let read = memory(text);
    assert_eq!((read.total, read.available), (Some(3_884_268), Some(2_509_988)));
    assert_eq!((read.swap_total, read.swap_free), (Some(102_396), Some(99_996)));
    assert_eq!(memory("MemTotal: 5 kB\nMemFree: many\n"), Memory { total: Some(5), ..Memory::default() });
}

#[test]
fn a_name_is_not_found_within_another_one() {
    let text = "anon 5\ntotal_inactive_file 7\ninactive_file 9\ninactive_filed 3\n";
    assert_eq!((named(text, "inactive_file"), named(text, "anon"), named(text, "file")), (Some(9), Some(5), None));
    assert_eq!(named("usage_usec x\n", "usage_usec"), None);
}

#[test]
fn limits_of_both_versions() {
    assert_eq!((limit("max\n"), limit("67108864\n"), limit("")), (Some(0), Some(67_108_864), None));
    assert_eq!(limit_v1("9223372036854771712\n"), Some(0), "64 bits, pages of 4 KiB");
    assert_eq!(limit_v1("9223372036854710272\n"), Some(0), "pages of 64 KiB");
    assert_eq!(limit_v1("8796093018112\n"), Some(0), "32 bits");
    assert_eq!(limit_v1("67108864\n"), Some(67_108_864));
}

#[test]
fn block_io_is_summed_over_devices() {
    let text = "179:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n254:0 \n8:0 rbytes=1 wbytes=2\n";
    assert_eq!(block_io(text), Bytes { into: 4097, out_of: 8194 });
    assert_eq!(block_io(""), Bytes::default());
    let text = "254:0 Read 4096\n254:0 Write 8192\n254:0 Sync 1\n254:0 Total 12288\n8:0 Read 1\nTotal 12289\n";
    assert_eq!(block_io_v1(text), Bytes { into: 4097, out_of: 8192 });
    assert_eq!(block_io_v1("Total 0\n"), Bytes::default());
}

#[test]
fn networks_are_summed_without_lo() {
    let text = "Inter-|   Receive                                                |  Transmit\n \
                face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    \
                lo:     840      10    0    0    0     0          0         0      840      10    0    0    0     0       0          0\n  \
                eth0: 5000000000 1 0 0 0 0 0 0 70 2 0 0 0 0 0 0\nwlan0:1 0 0 0 0 0 0 0 2 0 0 0 0 0 0 0\n";
    assert_eq!(network(text), Some(Bytes { into: 5_000_000_001, out_of: 72 }));
    assert_eq!(network("a\nb\n"), Some(Bytes::default()), "no network at all");
    assert_eq!((network("a\nb\neth0: 1 2"), network("a\nb\neth0")), (None, None));
}

#[test]
fn sensors_that_are_not_connected_are_not_believed() {
    assert_eq!((temperature("48312\n"), temperature("-5000\n")), (Some(483), Some(-50)));
    assert_eq!((temperature("-273000\n"), temperature("2000000"), temperature("")), (None, None, None));
}

#[test]
fn power_and_wear() {
    assert_eq!((throttled("50005\n"), throttled("0x50005"), throttled("zz")), (Some(0x50005), Some(0x50005), None));
    assert_eq!(worn_percent("0x01 0x03\n"), Some(30));
    assert_eq!(worn_percent("0x0b 0x01\n"), Some(110));
    assert_eq!((worn_percent("0x00 0x00\n"), worn_percent("0xff 0x01"), worn_percent("")), (None, None, None));
    assert_eq!(worn_percent("0x5555555555555555 0x01"), None, "found by fuzzing");
}

#[test]
fn nothing_that_a_file_may_hold_is_too_much() {
    let words =
        ["cpu ", "cpu0", "18446744073709551615", " ", "\n", ":", "0.99", "eth0:", "rbytes=", "Read", "0x", "-1"];
    let mut random = Seeded::new(7);
    for _ in 0..3000 {
        let text: String = (0..random.below(30)).map(|_| words[random.below(words.len() as u64) as usize]).collect();
        let _ = (processors(&text), load(&text), uptime(&text), memory(&text), named(&text, "cpu0"), limit(&text));
        let _ = (limit_v1(&text), block_io(&text), block_io_v1(&text), network(&text), temperature(&text));
        let _ = (throttled(&text), worn_percent(&text));
    }
}
