//! Keeps name lookups of a static glibc binary inside the binary.
//!
//! `getaddrinfo` in a static binary loads the host's NSS modules, which belong to another build of libc and crash it
//! (SIGFPE or SEGV, seen on Fedora and Arch). The agent takes addresses and never resolves by libc; this is for
//! what a dependency might still do. `files` and `dns` have been part of libc itself since glibc 2.34.

/// Tells libc to answer host names from `/etc/hosts` and DNS alone. Must run before any thread starts.
pub(crate) fn keep_inside_libc() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        #[expect(unsafe_code, reason = "a function of glibc that no safe crate offers")]
        // SAFETY: both arguments are constant C strings; no other thread exists yet.
        let code = unsafe { __nss_configure_lookup(c"hosts".as_ptr(), c"files dns".as_ptr()) };
        debug_assert_eq!(code, 0, "glibc knows the database `hosts`");
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "a function of glibc that no safe crate offers")]
// SAFETY: the signature is that of glibc's <nss.h>.
unsafe extern "C" {
    fn __nss_configure_lookup(database: *const std::ffi::c_char, services: *const std::ffi::c_char) -> std::ffi::c_int;
}
