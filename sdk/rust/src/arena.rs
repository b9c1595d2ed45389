//! A guest's memory: an arena that is handed out from front to back.
//!
//! Each call runs in a fresh instance that is thrown away afterwards, so giving memory back is
//! wasted work. The arena is part of the instance's initial memory: asking the host for more costs
//! a system call on every evaluation and does not scale over threads, so that happens only when
//! the arena is used up. The export macros make it the guest's allocator; natively it is not used.

/// How much of a guest's initial memory is set aside, in bytes: one page of WebAssembly. A
/// snapshot's answers for three servers take a tenth of it.
#[cfg(target_family = "wasm")]
const SIZE: usize = 64 * 1024;

/// The size of a page of WebAssembly's memory, in bytes.
#[cfg(target_family = "wasm")]
const PAGE: usize = 64 * 1024;

/// Hands out addresses from a range, front to back.
///
/// Invariant: `last <= next <= end`; what lies between `last` and `next` is the latest piece.
#[derive(Debug, Clone, Copy)]
#[cfg(any(target_family = "wasm", test))]
struct Bump {
    last: usize,
    next: usize,
    end: usize,
}

#[cfg(any(target_family = "wasm", test))]
impl Bump {
    /// The address of a fresh piece, or nothing if the range has no room for it.
    fn place(&mut self, size: usize, align: usize) -> Option<usize> {
        let start = self.next.checked_next_multiple_of(align)?;
        let next = start.checked_add(size)?;
        if next > self.end {
            return None;
        }
        (self.last, self.next) = (start, next);
        Some(start)
    }

    /// Makes the piece at `start` longer or shorter where it is; only the latest can be.
    fn resize(&mut self, start: usize, size: usize) -> bool {
        match start.checked_add(size) {
            Some(next) if start == self.last && next <= self.end => {
                self.next = next;
                true
            }
            _ => false,
        }
    }

    /// Goes on in the range from `start` to `end`; it continues the present one where they meet.
    fn extend(&mut self, start: usize, end: usize) {
        if start != self.end {
            (self.last, self.next) = (start, start);
        }
        self.end = end;
    }
}

#[cfg(target_family = "wasm")]
pub use guest::Guest;

#[cfg(target_family = "wasm")]
#[allow(unsafe_code, reason = "an allocator hands out raw memory")]
mod guest {
    use super::{Bump, PAGE, SIZE};
    use core::alloc::{GlobalAlloc, Layout};
    use core::cell::{Cell, UnsafeCell};
    use core::ptr;

    #[repr(C, align(16))]
    struct Memory(UnsafeCell<[u8; SIZE]>);

    // SAFETY: a guest has one thread.
    unsafe impl Sync for Memory {}

    static MEMORY: Memory = Memory(UnsafeCell::new([0; SIZE]));

    /// The one arena of a guest, for Rust and C alike.
    static ARENA: Arena = Arena { bump: Cell::new(None) };

    /// The allocator of a guest: a handle of its one arena.
    #[derive(Debug)]
    pub struct Guest;

    /// What a guest's memory is taken from.
    #[derive(Debug)]
    struct Arena {
        bump: Cell<Option<Bump>>,
    }

    // SAFETY: a guest has one thread.
    unsafe impl Sync for Arena {}

    impl Arena {
        fn bump(&self) -> Bump {
            self.bump.get().unwrap_or_else(|| {
                let start = MEMORY.0.get() as usize;
                Bump { last: start, next: start, end: start + SIZE }
            })
        }

        fn place(&self, size: usize, align: usize) -> Option<usize> {
            let mut bump = self.bump();
            let mut start = bump.place(size, align);
            if start.is_none() {
                // Room for the piece wherever it comes to lie, and for as much again.
                let wanted = size.checked_mul(2)?.checked_add(align)?.div_ceil(PAGE);
                let page = core::arch::wasm32::memory_grow(0, wanted);
                if page == usize::MAX {
                    return None;
                }
                bump.extend(page * PAGE, (page + wanted) * PAGE);
                start = bump.place(size, align);
            }
            self.bump.set(Some(bump));
            start
        }
    }

    // SAFETY: the arena's own promise.
    unsafe impl GlobalAlloc for Guest {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            // SAFETY: the caller's promise.
            unsafe { ARENA.alloc(layout) }
        }

        unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
            // SAFETY: the caller's promise.
            unsafe { ARENA.alloc_zeroed(layout) }
        }

        unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}

        unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            // SAFETY: the caller's promise.
            unsafe { ARENA.realloc(at, layout, size) }
        }
    }

    /// What the C library takes memory from. It asks for a few pieces when a guest starts; its own
    /// allocator would be a tenth of a small component, and would grow the memory at once.
    #[doc(hidden)]
    mod c {
        use super::{ARENA, GlobalAlloc, Layout, ptr};

        /// Holds a piece's size before it, for `realloc`, and keeps the alignment that C expects.
        const HEAD: usize = 16;

        fn layout(size: usize) -> Option<Layout> {
            Layout::from_size_align(size.checked_add(HEAD)?, HEAD).ok()
        }

        #[unsafe(no_mangle)]
        unsafe extern "C" fn malloc(size: usize) -> *mut u8 {
            let Some(layout) = layout(size) else { return ptr::null_mut() };
            // SAFETY: the layout is larger than zero; its head has room for the size.
            unsafe {
                let at = ARENA.alloc(layout);
                if at.is_null() {
                    return at;
                }
                at.cast::<usize>().write(size);
                at.add(HEAD)
            }
        }

        #[unsafe(no_mangle)]
        unsafe extern "C" fn aligned_alloc(align: usize, size: usize) -> *mut u8 {
            // SAFETY: between the piece's start and the address that is given out there is room for
            // the head, and after it for the whole size.
            unsafe {
                if align <= HEAD {
                    return malloc(size);
                }
                let Some(room) = size.checked_add(align) else { return ptr::null_mut() };
                let start = malloc(room);
                if start.is_null() {
                    return start;
                }
                let at = start.add(start.align_offset(align));
                at.sub(HEAD).cast::<usize>().write(size);
                at
            }
        }

        #[unsafe(no_mangle)]
        unsafe extern "C" fn posix_memalign(out: *mut *mut u8, align: usize, size: usize) -> i32 {
            /// `ENOMEM` of wasi-libc.
            const OUT_OF_MEMORY: i32 = 48;
            // SAFETY: the caller gives a place for the address.
            unsafe {
                let at = aligned_alloc(align, size);
                if at.is_null() {
                    return OUT_OF_MEMORY;
                }
                out.write(at);
                0
            }
        }

        #[unsafe(no_mangle)]
        unsafe extern "C" fn free(_: *mut u8) {}

        #[unsafe(no_mangle)]
        unsafe extern "C" fn calloc(count: usize, size: usize) -> *mut u8 {
            let Some(all) = count.checked_mul(size) else { return ptr::null_mut() };
            // SAFETY: a piece that was given out has its whole size.
            unsafe {
                let at = malloc(all);
                if !at.is_null() {
                    ptr::write_bytes(at, 0, all);
                }
                at
            }
        }

        #[unsafe(no_mangle)]
        unsafe extern "C" fn realloc(at: *mut u8, size: usize) -> *mut u8 {
            // SAFETY: `at` is null or was given out here, so that its size stands before it.
            unsafe {
                let new = malloc(size);
                if !at.is_null() && !new.is_null() {
                    let old = at.sub(HEAD).cast::<usize>().read();
                    ptr::copy_nonoverlapping(at, new, old.min(size));
                }
                new
            }
        }
    }

    // SAFETY: pieces never overlap: `Bump` moves only forward, but for the latest piece, which
    // it may make longer or shorter in place.
    unsafe impl GlobalAlloc for Arena {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            self.place(layout.size(), layout.align()).map_or(ptr::null_mut(), |at| at as *mut u8)
        }

        unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
            // SAFETY: the same contract. Memory may have been used by a piece that was shortened.
            let at = unsafe { self.alloc(layout) };
            if !at.is_null() {
                // SAFETY: `at` is a piece of this size.
                unsafe { ptr::write_bytes(at, 0, layout.size()) };
            }
            at
        }

        unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}

        unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            let mut bump = self.bump();
            if bump.resize(at as usize, size) {
                self.bump.set(Some(bump));
                return at;
            }
            if size <= layout.size() {
                return at;
            }
            self.place(size, layout.align()).map_or(ptr::null_mut(), |new| {
                // SAFETY: both pieces have at least the old size, and a new piece overlaps none.
                unsafe { ptr::copy_nonoverlapping(at, new as *mut u8, layout.size()) };
                new as *mut u8
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_aligned_and_never_overlap() {
        let mut bump = Bump { last: 16, next: 16, end: 116 };
        assert_eq!(bump.place(3, 1), Some(16));
        assert_eq!(bump.place(8, 8), Some(24));
        assert_eq!(bump.place(1, 1), Some(32));
        assert_eq!(bump.place(100, 1), None);
        assert_eq!(bump.place(83, 1), Some(33), "a piece that does not fit takes nothing");
        assert_eq!(bump.place(1, 1), None);
        assert_eq!(bump.place(usize::MAX, 16), None);
    }

    #[test]
    fn only_the_latest_piece_changes_its_size_in_place() {
        let mut bump = Bump { last: 0, next: 0, end: 64 };
        let first = bump.place(8, 8).unwrap();
        assert!(bump.resize(first, 32));
        let second = bump.place(8, 8).unwrap();
        assert_eq!(second, 32);
        assert!(!bump.resize(first, 64));
        assert!(!bump.resize(second, 33), "it ends with the range");
        assert!(bump.resize(second, 32));
        assert_eq!(bump.place(1, 1), None);
    }

    #[test]
    fn more_memory_continues_the_range_where_they_meet() {
        let mut bump = Bump { last: 0, next: 60, end: 64 };
        bump.extend(64, 128);
        assert_eq!(bump.place(8, 4), Some(60));
        bump.extend(256, 512);
        assert_eq!(bump.place(8, 4), Some(256));
        assert!(!bump.resize(60, 16), "a piece of the former range stays as it is");
    }
}
