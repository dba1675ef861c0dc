//! The cipher `chacha20-poly1305@openssh.com`, in the place of libssh2's own.
//!
//! libssh2 brings a portable C version that takes four fifths of all the time it needs to move a file.
//! These functions have the names and the meaning of the three that libssh2 calls (its
//! `cipher-chachapoly.h`; the construction is in OpenSSH's PROTOCOL.chacha20poly1305), made of OpenSSL's
//! `ChaCha20` and the `poly1305` crate, both of which use what the processor has. A linker takes from
//! libssh2's archive only what is not there yet, so its own version stays out of the program;
//! [`is_used`] tells whether it did.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::ffi::{c_int, c_uint};
use std::mem::MaybeUninit;
use std::slice;
use std::sync::atomic::{AtomicBool, Ordering};

use libssh2_sys::{LIBSSH2_ERROR_DECRYPT, LIBSSH2_ERROR_INVAL};
use openssl::cipher::Cipher;
use openssl::cipher_ctx::CipherCtx;
use openssl::error::ErrorStack;
use poly1305::Poly1305;
use poly1305::universal_hash::{KeyInit, UniversalHash};
use zeroize::Zeroizing;

const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
/// How long a packet is stands before it, encrypted by a key of its own.
const LENGTH_BYTES: usize = 4;

/// `struct chachapoly_ctx`: two times the sixteen words of a `struct chacha_ctx`. Only libssh2 makes
/// one, wipes it and frees it; here it holds the two keys.
#[repr(C, align(4))]
pub(super) struct Context {
    payload_key: [u8; KEY_BYTES],
    length_key: [u8; KEY_BYTES],
    _rest: MaybeUninit<[u8; 64]>,
}

thread_local! {
    /// One for all connections of a worker: what it is set to is set anew for each use.
    static CHACHA: RefCell<Option<CipherCtx>> = const { RefCell::new(None) };
}

static IS_USED: AtomicBool = AtomicBool::new(false);

/// Whether libssh2 has called these functions, rather than its own.
pub(super) fn is_used() -> bool {
    IS_USED.load(Ordering::Relaxed)
}

/// Takes the keys of one direction: the payload's, then the length's.
///
/// # Safety
/// `context` is a `struct chachapoly_ctx`, and `key` leads to `length` bytes.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn chachapoly_init(
    context: *mut Context,
    key: *const u8,
    length: usize,
) -> c_int {
    if length != 2 * KEY_BYTES {
        return LIBSSH2_ERROR_INVAL;
    }
    IS_USED.store(true, Ordering::Relaxed);
    // SAFETY: as the caller promises; nobody else uses the context meanwhile, and it may hold nothing
    // yet.
    unsafe {
        (&raw mut (*context).payload_key).write(key.cast::<[u8; KEY_BYTES]>().read());
        let second = key.add(KEY_BYTES).cast::<[u8; KEY_BYTES]>();
        (&raw mut (*context).length_key).write(second.read());
    }
    0
}

/// Encrypts `ahead + length` bytes from `source` to `dest` and appends the tag, or checks the tag that
/// follows them and decrypts. The first `ahead` bytes say how long the packet is.
///
/// # Safety
/// `context` was given to [`chachapoly_init`]; `source` and `dest` lead to so many bytes and a tag, and
/// are the same or apart.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn chachapoly_crypt(
    context: *mut Context,
    number: u64,
    dest: *mut u8,
    source: *const u8,
    length: usize,
    ahead: usize,
    encrypts: c_int,
) -> c_int {
    let whole = ahead + length;
    // SAFETY: as the caller promises. What is apart is put in place first, so that there is one
    // slice only; a tag to be checked comes along.
    let (context, packet) = unsafe {
        if !std::ptr::eq(source, dest) {
            let moved = if encrypts == 0 {
                whole + TAG_BYTES
            } else {
                whole
            };
            std::ptr::copy(source, dest, moved);
        }
        (
            &*context,
            slice::from_raw_parts_mut(dest, whole + TAG_BYTES),
        )
    };
    let (packet, tag) = packet.split_at_mut(whole);
    let crypted = if encrypts == 0 {
        context.open(number, packet, ahead, tag)
    } else {
        context.seal(number, packet, ahead, tag)
    };
    match crypted {
        Ok(true) => 0,
        Ok(false) | Err(_) => LIBSSH2_ERROR_DECRYPT,
    }
}

/// Tells how long the packet is whose first bytes these are.
///
/// # Safety
/// `context` was given to [`chachapoly_init`]; `start` leads to `length` bytes, and `told` to a number.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn chachapoly_get_length(
    context: *mut Context,
    told: *mut c_uint,
    number: u64,
    start: *const u8,
    length: usize,
) -> c_int {
    if length < LENGTH_BYTES {
        return -1;
    }
    // SAFETY: as the caller promises.
    let (context, start) = unsafe { (&*context, slice::from_raw_parts(start, LENGTH_BYTES)) };
    let mut bytes = [0; LENGTH_BYTES];
    bytes.copy_from_slice(start);
    if chacha20(&context.length_key, 0, number, &mut bytes).is_err() {
        return -1;
    }
    // SAFETY: as above.
    unsafe { *told = u32::from_be_bytes(bytes) };
    0
}

impl Context {
    /// Encrypts a packet and makes its tag.
    fn seal(
        &self,
        number: u64,
        packet: &mut [u8],
        ahead: usize,
        tag: &mut [u8],
    ) -> Result<bool, ErrorStack> {
        self.crypt(number, packet, ahead)?;
        tag.copy_from_slice(&self.tag(number, packet)?);
        Ok(true)
    }

    /// Decrypts a packet if it has the right tag; else nothing is touched.
    fn open(
        &self,
        number: u64,
        packet: &mut [u8],
        ahead: usize,
        tag: &[u8],
    ) -> Result<bool, ErrorStack> {
        if !openssl::memcmp::eq(&self.tag(number, packet)?, tag) {
            return Ok(false);
        }
        self.crypt(number, packet, ahead)?;
        Ok(true)
    }

    fn crypt(&self, number: u64, packet: &mut [u8], ahead: usize) -> Result<(), ErrorStack> {
        let (length, payload) = packet.split_at_mut(ahead);
        chacha20(&self.length_key, 0, number, length)?;
        // Block 0 is the key of the tag.
        chacha20(&self.payload_key, 1, number, payload)
    }

    /// Returns the tag of an encrypted packet.
    fn tag(&self, number: u64, packet: &[u8]) -> Result<[u8; TAG_BYTES], ErrorStack> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        chacha20(&self.payload_key, 0, number, &mut *key)?;
        let mut poly1305 = Poly1305::new((&*key).into());
        let (blocks, rest) = packet.split_at(packet.len() - packet.len() % TAG_BYTES);
        // Many at once are faster than one by one.
        poly1305.update_padded(blocks);
        Ok(poly1305.compute_unpadded(rest).into())
    }
}

/// Encrypts or decrypts: the nonce is the packet's number, and the stream begins with this block.
fn chacha20(
    key: &[u8; KEY_BYTES],
    block: u8,
    number: u64,
    bytes: &mut [u8],
) -> Result<(), ErrorStack> {
    if bytes.is_empty() {
        return Ok(());
    }
    let mut start = [0; 16];
    start[0] = block;
    start[8..].copy_from_slice(&number.to_be_bytes());
    CHACHA.with_borrow_mut(|chacha| {
        let chacha = match chacha {
            Some(chacha) => chacha,
            none => none.insert(CipherCtx::new()?),
        };
        chacha.encrypt_init(Some(Cipher::chacha20()), Some(key), Some(&start))?;
        let length = bytes.len();
        chacha.cipher_update_inplace(bytes, length).map(drop)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [u8; 64] = {
        let mut keys = [0; 64];
        let mut index = 0;
        while index < 64 {
            keys[index as usize] = index * 3 + 1;
            index += 1;
        }
        keys
    };

    fn context() -> Context {
        Context {
            payload_key: *KEYS.first_chunk().unwrap(),
            length_key: *KEYS.last_chunk().unwrap(),
            _rest: MaybeUninit::uninit(),
        }
    }

    #[test]
    fn it_is_as_large_as_that_of_libssh2() {
        assert_eq!(size_of::<Context>(), 2 * 16 * size_of::<u32>());
    }

    #[test]
    fn what_is_sealed_is_opened_again_and_nothing_else() {
        for length in [0, 1, 12, 28, 500, 32_700] {
            let plain: Vec<u8> = (0..4 + length).map(|n: usize| n.to_le_bytes()[0]).collect();
            let mut packet = plain.clone();
            let mut tag = [0; TAG_BYTES];
            assert!(context().seal(7, &mut packet, 4, &mut tag).unwrap());
            let sealed = packet.clone();
            assert_ne!(sealed, plain);
            for (number, change) in [(8, None), (7, Some(0)), (7, Some(3 + length))] {
                let mut wrong = sealed.clone();
                if let Some(place) = change {
                    wrong[place] ^= 1;
                }
                let before = wrong.clone();
                assert!(!context().open(number, &mut wrong, 4, &tag).unwrap());
                assert_eq!(wrong, before);
            }
            assert!(context().open(7, &mut packet, 4, &tag).unwrap());
            assert_eq!(packet, plain);
        }
    }

    /// The numbers are those of the C version in libssh2 1.11 for the same keys and packet.
    #[test]
    fn it_makes_what_libssh2_makes() {
        let mut packet: Vec<u8> = (0..60).collect();
        let mut tag = [0; TAG_BYTES];
        context()
            .seal(0x0102_0304, &mut packet, 4, &mut tag)
            .unwrap();
        let hex = |bytes: &[u8]| {
            let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            digits.concat()
        };
        assert_eq!(
            hex(&packet[..20]),
            "968b3a409f12a4b7c57ada74332f8b4fb68b40aa"
        );
        assert_eq!(hex(&tag), "53d0ef1fef3d250b03a1191a2f988929");
    }
}
