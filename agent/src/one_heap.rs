//! One heap for all threads: the only unsafe code of `muster-agent`.
//!
//! glibc gives each thread a heap of its own, so that threads need not wait for one another. The agent has two that
//! allocate, and they hardly ever do at the same moment; but the heap of the one that talks to the server, where large
//! buffers of a handshake and small things that stay take turns, grew by 24 KiB every few connections for a good while
//! before it settled, and what one heap has to spare the other cannot use. Other C libraries have one heap anyway.
//!
//! `mallopt` has no safe wrapper. It is sound to call it here: it takes two numbers, keeps no pointer, and changes nothing
//! but a setting of the allocator, before there is a second thread that could read it.
#![allow(unsafe_code)]

/// To be called first, before any thread is started. If it is refused, the agent takes a little more memory.
pub fn ask_for_it() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: see above; this is the first thing that `main` does.
        let _ = unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
    }
}
