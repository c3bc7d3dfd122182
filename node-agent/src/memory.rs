//! The allocator's manners.

/// Gives back what is free after something that rarely happens has needed a lot: a whole plan was read.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes a number, and gives back only pages that hold nothing.
    #[allow(unsafe_code, reason = "no safe binding knows it")]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Keeps freed memory for the next time instead of giving it back: every pass needs about as much as the one before, and
/// pages that come back have to be cleared by the kernel first. All threads share one heap, of which only one makes
/// large demands.
pub fn keep() {
    // glibc's malloc (mallopt(3)); the greatest threshold that it takes for what is mapped on its own.
    #[cfg(target_env = "gnu")]
    for (parameter, value) in
        [(libc::M_MMAP_THRESHOLD, 32 << 20), (libc::M_TRIM_THRESHOLD, i32::MAX), (libc::M_ARENA_MAX, 1)]
    {
        // SAFETY: it takes two numbers and touches nothing but the allocator's own settings. One that it does not take
        // changes nothing.
        #[allow(unsafe_code, reason = "no safe binding knows it")]
        unsafe {
            libc::mallopt(parameter, value);
        }
    }
}
