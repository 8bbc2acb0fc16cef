//! What is free is given back to the system: the only unsafe code of the server.
//!
//! glibc keeps what a wave of connections has freed, because something small that stays lies behind it: sixteen browsers
//! that load the page and then need two connections each, and no longer six, leave 1 MB of free pages, a fleet that comes
//! back after an outage far more. Other programs of a small machine can use that. Other C libraries give back by themselves.
//!
//! `malloc_trim` has no safe wrapper. It is sound to call it at any time and from any thread: it takes a number, keeps no
//! pointer, and touches nothing but pages that the allocator itself holds free, each heap under its own lock.
#![allow(unsafe_code)]

/// Gives back whole free pages. It looks at every free piece of every heap, which takes milliseconds for a large fleet:
/// to be called seldom, and where a thread may block.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: see above.
        let _ = unsafe { libc::malloc_trim(0) };
    }
}
