//! The `unsafe` code of SSH: the libssh2 calls that the `ssh2` crate doesn't bind.
//!
//! A [`RawChannel`] exists because the exit status has to be told from "none was sent" and signals
//! have to be sent; [`userauth_publickey`] because keys are parsed once and signed with outside
//! libssh2; [`userauth_keyboard_interactive`] because an empty question is a null pointer, which the
//! crate makes a slice of; [`userauth_list`] because the crate panics on a list that is not UTF-8.
//! All calls are non-blocking and return libssh2's own error codes. Everything here runs
//! on the one worker that owns the session; `ssh2::Session::raw` holds the session's lock during
//! each call.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::os::fd::BorrowedFd;
use std::ptr::{self, NonNull};

use libssh2_sys as raw;
use rustix::io::Errno;
use rustix::net::RecvFlags;

use super::outbox;
use super::traffic::Traffic;
use crate::secret::Secret;

/// "Would block": wait for the socket and call again with the same arguments.
pub(super) const EAGAIN: i32 = raw::LIBSSH2_ERROR_EAGAIN;

/// `LIBSSH2_CALLBACK_DISCONNECT`, `LIBSSH2_CALLBACK_SEND` and `LIBSSH2_CALLBACK_RECV` (libssh2.h).
const CALLBACK_DISCONNECT: c_int = 2;
const CALLBACK_SEND: c_int = 5;
const CALLBACK_RECV: c_int = 6;

type SignCallback = extern "C" fn(
    *mut raw::LIBSSH2_SESSION,
    *mut *mut u8,
    *mut usize,
    *const u8,
    usize,
    *mut *mut c_void,
) -> c_int;

// In the static archive that libssh2-sys builds, but not in its bindings (libssh2.h).
unsafe extern "C" {
    fn libssh2_session_callback_set2(
        session: *mut raw::LIBSSH2_SESSION,
        number: c_int,
        callback: Option<unsafe extern "C" fn()>,
    ) -> Option<unsafe extern "C" fn()>;
    fn libssh2_version(required: c_int) -> *const c_char;
    fn libssh2_channel_has_exit_status(channel: *mut raw::LIBSSH2_CHANNEL) -> c_int;
    fn libssh2_channel_signal_ex(
        channel: *mut raw::LIBSSH2_CHANNEL,
        name: *const c_char,
        name_len: usize,
    ) -> c_int;
    fn libssh2_userauth_publickey(
        session: *mut raw::LIBSSH2_SESSION,
        user: *const c_char,
        public_key: *const u8,
        public_key_len: usize,
        sign: SignCallback,
        state: *mut *mut c_void,
    ) -> c_int;
}

type ReceiveCallback = extern "C" fn(c_int, *mut c_void, usize, c_int, *mut *mut c_void) -> isize;
type SendCallback = extern "C" fn(c_int, *const c_void, usize, c_int, *mut *mut c_void) -> isize;
type DisconnectCallback = extern "C" fn(
    *mut raw::LIBSSH2_SESSION,
    c_int,
    *const c_char,
    c_int,
    *const c_char,
    c_int,
    *mut *mut c_void,
);

/// Leads what goes over a session's socket through its [`Traffic`]. Returns the address under which
/// the session's callbacks look for that.
pub(super) fn lead_traffic(session: &ssh2::Session) -> usize {
    let mut locked = session.raw();
    let session = &raw mut *locked;
    // SAFETY: libssh2 stores the pointers and calls each with the signature that belongs to its
    // number (libssh2.h, LIBSSH2_RECV_FUNC, …_SEND_FUNC, …_DISCONNECT_FUNC), which is that of the
    // type it is made of here; the functions are static. The session is live while locked.
    unsafe {
        let callbacks = [
            (
                CALLBACK_RECV,
                std::mem::transmute::<ReceiveCallback, unsafe extern "C" fn()>(receive),
            ),
            (
                CALLBACK_SEND,
                std::mem::transmute::<SendCallback, unsafe extern "C" fn()>(send),
            ),
            (
                CALLBACK_DISCONNECT,
                std::mem::transmute::<DisconnectCallback, unsafe extern "C" fn()>(disconnected),
            ),
        ];
        for (number, callback) in callbacks {
            libssh2_session_callback_set2(session, number, Some(callback));
        }
        raw::libssh2_session_abstract(session).addr()
    }
}

/// Reads a socket for libssh2.
extern "C" fn receive(
    socket: c_int,
    buffer: *mut c_void,
    length: usize,
    _flags: c_int,
    state: *mut *mut c_void,
) -> isize {
    // SAFETY: libssh2 passes `length` initialised bytes (a part of the session, which is zeroed, or
    // a local variable with a value) that nobody else uses during the call, and the socket it was
    // given, which is open as long as the session is.
    let (socket, buffer) = unsafe {
        (
            BorrowedFd::borrow_raw(socket),
            std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length),
        )
    };
    moved(match Traffic::find(state.addr()) {
        Some(traffic) => traffic.inbox.receive(socket, buffer),
        None => rustix::net::recv(socket, buffer, RecvFlags::empty()).map(|(count, _)| count),
    })
}

/// Writes to a socket for libssh2.
extern "C" fn send(
    socket: c_int,
    buffer: *const c_void,
    length: usize,
    _flags: c_int,
    state: *mut *mut c_void,
) -> isize {
    // SAFETY: libssh2 passes `length` initialised bytes that live during the call, and the socket
    // it was given, which is open as long as the session is.
    let (socket, buffer) = unsafe {
        (
            BorrowedFd::borrow_raw(socket),
            std::slice::from_raw_parts(buffer.cast::<u8>(), length),
        )
    };
    moved(match Traffic::find(state.addr()) {
        Some(traffic) => traffic.outbox.send(socket, buffer),
        None => outbox::send(socket, buffer),
    })
}

/// Returns what libssh2 wants to hear of bytes moved: a count, or an error number below 0.
fn moved(result: Result<usize, Errno>) -> isize {
    match result {
        Ok(count) => isize::try_from(count).expect("a count is at most the buffer's length"),
        Err(errno) => -isize::try_from(errno.raw_os_error()).expect("error numbers are small"),
    }
}

/// Has the words kept with which the host ends the session.
extern "C" fn disconnected(
    _session: *mut raw::LIBSSH2_SESSION,
    _reason: c_int,
    words: *const c_char,
    length: c_int,
    _language: *const c_char,
    _language_length: c_int,
    state: *mut *mut c_void,
) {
    let Some(traffic) = Traffic::find(state.addr()) else {
        return;
    };
    let length = usize::try_from(length).unwrap_or(0);
    if words.is_null() || length == 0 {
        return traffic.inbox.keep_farewell(b"");
    }
    // SAFETY: libssh2 passes `length` bytes of the packet, which lives during the call.
    let words = unsafe { std::slice::from_raw_parts(words.cast::<u8>(), length) };
    traffic.inbox.keep_farewell(words);
}

/// Returns libssh2's version: `1.11.2_DEV`.
pub(super) fn linked_version() -> String {
    // SAFETY: takes a minimum version; 0 always returns a static NUL-terminated string.
    let version = unsafe { CStr::from_ptr(libssh2_version(0)) };
    version.to_string_lossy().into_owned()
}

/// One channel of a session, without a destructor's surprises: dropping it frees libssh2's memory
/// without waiting. Shut the socket down first unless the channel is closed, or libssh2 leaks.
pub(super) struct RawChannel {
    session: ssh2::Session,
    channel: NonNull<raw::LIBSSH2_CHANNEL>,
}

impl RawChannel {
    /// Opens a session channel with a receive window of `window` bytes (RFC 4254 §6.1).
    pub(super) fn open(session: &ssh2::Session, window: u32) -> Result<Self, i32> {
        const KIND: &[u8] = b"session";
        const PACKET_BYTES: c_uint = 32 * 1024;
        let mut locked = session.raw();
        // SAFETY: the session is live while locked; KIND outlives the call, which copies it.
        let channel = unsafe {
            raw::libssh2_channel_open_ex(
                &raw mut *locked,
                KIND.as_ptr().cast(),
                c_uint::try_from(KIND.len()).expect("7 fits"),
                window,
                PACKET_BYTES,
                ptr::null(),
                0,
            )
        };
        match NonNull::new(channel) {
            Some(channel) => Ok(Self {
                session: session.clone(),
                channel,
            }),
            // SAFETY: as above; reads a field.
            None => Err(unsafe { raw::libssh2_session_last_errno(&raw mut *locked) }),
        }
    }

    /// Opens a channel that the host connects to `host` and `port` (RFC 4254 §7.2). Call again with
    /// the same ones on `EAGAIN`; no other channel can be opened meanwhile.
    pub(super) fn direct_tcpip(
        session: &ssh2::Session,
        host: &str,
        port: u16,
    ) -> Result<Self, i32> {
        let host = CString::new(host).map_err(|_| raw::LIBSSH2_ERROR_INVAL)?;
        let mut locked = session.raw();
        // SAFETY: the session is live while locked; both texts are NUL-terminated and outlive the
        // call, which copies them.
        let channel = unsafe {
            raw::libssh2_channel_direct_tcpip_ex(
                &raw mut *locked,
                host.as_ptr(),
                c_int::from(port),
                c"127.0.0.1".as_ptr(),
                0,
            )
        };
        match NonNull::new(channel) {
            Some(channel) => Ok(Self {
                session: session.clone(),
                channel,
            }),
            // SAFETY: as above; reads a field.
            None => Err(unsafe { raw::libssh2_session_last_errno(&raw mut *locked) }),
        }
    }

    /// Closes the channel and waits until the host has done so. Call again on `EAGAIN`.
    pub(super) fn close(&self) -> Result<(), i32> {
        let _locked = self.session.raw();
        // SAFETY: the channel is live until drop.
        status(unsafe { raw::libssh2_channel_close(self.channel.as_ptr()) })
    }

    /// Asks the host to start something (RFC 4254 §6.5): `exec` a line, the `subsystem` of a name.
    /// Call again with the same texts on `EAGAIN`.
    pub(super) fn start(&self, request: &str, what: &[u8]) -> Result<(), i32> {
        let _locked = self.session.raw();
        // SAFETY: both texts outlive the call, their lengths are theirs; libssh2 copies them.
        status(unsafe {
            raw::libssh2_channel_process_startup(
                self.channel.as_ptr(),
                request.as_ptr().cast(),
                c_uint::try_from(request.len()).expect("a request's name is short"),
                what.as_ptr().cast(),
                c_uint::try_from(what.len()).expect("a command line is at most 128 KiB"),
            )
        })
    }

    /// Reads from stdout (0) or stderr (1). `Ok(0)` is the end of both.
    pub(super) fn read(&self, stream: i32, buffer: &mut [u8]) -> Result<usize, i32> {
        let _locked = self.session.raw();
        // SAFETY: libssh2 writes at most `buffer.len()` bytes into the buffer.
        let count = unsafe {
            raw::libssh2_channel_read_ex(
                self.channel.as_ptr(),
                stream,
                buffer.as_mut_ptr().cast(),
                buffer.len(),
            )
        };
        length(count)
    }

    /// Writes to the command's stdin. Call again with the same bytes on `EAGAIN`.
    pub(super) fn write(&self, bytes: &[u8]) -> Result<usize, i32> {
        let _locked = self.session.raw();
        // SAFETY: libssh2 reads at most `bytes.len()` bytes and keeps no pointer but for
        // comparing it with the one of the next call.
        let count = unsafe {
            raw::libssh2_channel_write_ex(
                self.channel.as_ptr(),
                0,
                bytes.as_ptr().cast(),
                bytes.len(),
            )
        };
        length(count)
    }

    /// Tells the host that stdin is over.
    pub(super) fn send_eof(&self) -> Result<(), i32> {
        let _locked = self.session.raw();
        // SAFETY: the channel is live until drop.
        status(unsafe { raw::libssh2_channel_send_eof(self.channel.as_ptr()) })
    }

    /// Waits for the host's CLOSE without sending one; an error before [`RawChannel::is_eof`].
    pub(super) fn wait_closed(&self) -> Result<(), i32> {
        let _locked = self.session.raw();
        // SAFETY: the channel is live until drop.
        status(unsafe { raw::libssh2_channel_wait_closed(self.channel.as_ptr()) })
    }

    /// Takes in what there is until the end of both pipes, and goes on with a key exchange.
    pub(super) fn wait_eof(&self) -> Result<(), i32> {
        let _locked = self.session.raw();
        // SAFETY: the channel is live until drop.
        status(unsafe { raw::libssh2_channel_wait_eof(self.channel.as_ptr()) })
    }

    /// Whether the host sent the end of both pipes and all of it was read.
    pub(super) fn is_eof(&self) -> bool {
        let _locked = self.session.raw();
        // SAFETY: the channel is live until drop; this looks at the queue and a flag.
        unsafe { raw::libssh2_channel_eof(self.channel.as_ptr()) == 1 }
    }

    /// Returns the exit status if the host sent one (RFC 4254 §6.10).
    pub(super) fn exit_status(&self) -> Option<u32> {
        let _locked = self.session.raw();
        // SAFETY: the channel is live until drop; both read a field.
        let (is_known, code) = unsafe {
            (
                libssh2_channel_has_exit_status(self.channel.as_ptr()) == 1,
                raw::libssh2_channel_get_exit_status(self.channel.as_ptr()),
            )
        };
        is_known.then_some(code.cast_unsigned())
    }

    /// Returns the name of the signal that ended the command, if the host sent one.
    pub(super) fn exit_signal(&self) -> Option<String> {
        let _locked = self.session.raw();
        let mut name: *mut c_char = ptr::null_mut();
        let mut length = 0_usize;
        // SAFETY: the two out-pointers are valid, the others may be null (libssh2.h).
        let code = unsafe {
            raw::libssh2_channel_get_exit_signal(
                self.channel.as_ptr(),
                &raw mut name,
                &raw mut length,
                ptr::null_mut(),
                ptr::null_mut(),
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        if code != 0 || name.is_null() {
            return None;
        }
        // SAFETY: on success libssh2 hands over `length` bytes that it allocated with malloc, as
        // the session was made without an allocator of its own.
        unsafe {
            let text = std::slice::from_raw_parts(name.cast::<u8>(), length);
            let text = String::from_utf8_lossy(text).into_owned();
            libc::free(name.cast());
            Some(text)
        }
    }

    /// Asks the host to signal the command (RFC 4254 §6.9); there is no answer to it.
    pub(super) fn signal(&self, name: &str) -> Result<(), i32> {
        let _locked = self.session.raw();
        // SAFETY: the name outlives the call, which copies it.
        status(unsafe {
            libssh2_channel_signal_ex(self.channel.as_ptr(), name.as_ptr().cast(), name.len())
        })
    }
}

impl Drop for RawChannel {
    fn drop(&mut self) {
        let _locked = self.session.raw();
        // SAFETY: freed once, here; the session, which frees what is left, outlives the channel
        // because the channel holds a clone of it. EAGAIN leaves it to the session's end.
        unsafe { raw::libssh2_channel_free(self.channel.as_ptr()) };
    }
}

/// Signs `data` while libssh2 waits: returns the raw signature, or why there is none yet.
pub(super) trait Sign {
    /// Called by libssh2 with what the server wants signed (RFC 4252 §7).
    fn sign(&mut self, data: &[u8]) -> Result<Vec<u8>, SignPause>;
}

/// Why [`Sign::sign`] has no signature.
pub(super) enum SignPause {
    /// It is being made elsewhere: the call returns `EAGAIN` and is made again.
    Later,
    /// There will be none.
    Failed,
}

/// Offers a public key and has `sign` prove it. Call again on `EAGAIN`.
pub(super) fn userauth_publickey<S: Sign>(
    session: &ssh2::Session,
    user: &CStr,
    public_key: &[u8],
    sign: &mut S,
) -> Result<(), i32> {
    let mut state: *mut c_void = (&raw mut *sign).cast();
    let mut locked = session.raw();
    // SAFETY: user and key outlive the call; `state` points to `sign` for the length of the call,
    // and libssh2 uses it only to hand it to `sign_callback::<S>` during the call.
    status(unsafe {
        libssh2_userauth_publickey(
            &raw mut *locked,
            user.as_ptr(),
            public_key.as_ptr(),
            public_key.len(),
            sign_callback::<S>,
            &raw mut state,
        )
    })
}

extern "C" fn sign_callback<S: Sign>(
    _session: *mut raw::LIBSSH2_SESSION,
    signature: *mut *mut u8,
    signature_len: *mut usize,
    data: *const u8,
    data_len: usize,
    state: *mut *mut c_void,
) -> c_int {
    // SAFETY: `state` points to the pointer that `userauth_publickey::<S>` made of its `&mut S`,
    // which nobody else uses during the call.
    let sign: &mut S = unsafe { &mut *(*state).cast() };
    // SAFETY: libssh2 passes a buffer of `data_len` bytes that lives during the call.
    let data = unsafe { std::slice::from_raw_parts(data, data_len) };
    let signed = match sign.sign(data) {
        Ok(signed) => signed,
        Err(SignPause::Later) => return EAGAIN,
        Err(SignPause::Failed) => return raw::LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED,
    };
    // SAFETY: libssh2 frees the signature with free(), so it is allocated with malloc(); the copy
    // stays within both buffers, and the out-pointers are libssh2's own variables.
    unsafe {
        let copy: *mut u8 = libc::malloc(signed.len().max(1)).cast();
        if copy.is_null() {
            return raw::LIBSSH2_ERROR_ALLOC;
        }
        ptr::copy_nonoverlapping(signed.as_ptr(), copy, signed.len());
        *signature = copy;
        *signature_len = signed.len();
    }
    0
}

/// Asks which methods to log in the host takes, between commas. Call again on `EAGAIN`; fails where
/// the host has let the user in as he is.
pub(super) fn userauth_list(session: &ssh2::Session, user: &CStr) -> Result<String, i32> {
    let length = c_uint::try_from(user.to_bytes().len()).expect("a user name is short");
    let mut locked = session.raw();
    // SAFETY: the session is live while locked; user outlives the call. The list is a text with a
    // NUL at its end, which the session keeps until the next call.
    unsafe {
        let list = raw::libssh2_userauth_list(&raw mut *locked, user.as_ptr(), length);
        if list.is_null() {
            return Err(raw::libssh2_session_last_errno(&raw mut *locked));
        }
        Ok(CStr::from_ptr(list).to_string_lossy().into_owned())
    }
}

/// A question that a host asks (RFC 4256 §3.2).
pub(super) struct Question<'a> {
    pub(super) text: &'a [u8],
    /// What is typed may be seen.
    pub(super) is_shown: bool,
}

/// Answers what a host asks while libssh2 waits.
pub(super) trait Answer {
    /// Called by libssh2 with each request; returns an answer to each question. Those that are
    /// missing are empty.
    fn answer(&mut self, instruction: &[u8], questions: &[Question<'_>]) -> Vec<Secret>;
}

/// Logs in by answering questions. Call again on `EAGAIN`.
pub(super) fn userauth_keyboard_interactive<A: Answer>(
    session: &ssh2::Session,
    user: &CStr,
    answer: &mut A,
) -> Result<(), i32> {
    let bytes = user.to_bytes();
    let mut locked = session.raw();
    let session = &raw mut *locked;
    // SAFETY: the session is live while locked; user outlives the call. The session's `abstract`
    // points to `answer` for the length of the call, and only `questions_callback::<A>` looks at
    // what it points to: other callbacks use no more than its own address.
    status(unsafe {
        let slot = raw::libssh2_session_abstract(session);
        let before = std::mem::replace(&mut *slot, (&raw mut *answer).cast());
        let code = raw::libssh2_userauth_keyboard_interactive_ex(
            session,
            bytes.as_ptr().cast(),
            c_uint::try_from(bytes.len()).expect("a user name is short"),
            Some(questions_callback::<A>),
        );
        *slot = before;
        code
    })
}

extern "C" fn questions_callback<A: Answer>(
    _name: *const c_char,
    _name_len: c_int,
    instruction: *const c_char,
    instruction_len: c_int,
    count: c_int,
    prompts: *const raw::LIBSSH2_USERAUTH_KBDINT_PROMPT,
    responses: *mut raw::LIBSSH2_USERAUTH_KBDINT_RESPONSE,
    state: *mut *mut c_void,
) {
    let count = usize::try_from(count).unwrap_or(0);
    // SAFETY: `state` is the session's `abstract`, which `userauth_keyboard_interactive::<A>` made
    // point to its `&mut A`; nobody else uses that during the call. libssh2 passes a text of
    // `instruction_len` bytes and `count` prompts, each with a text of its length, all of which
    // live during the call; what is empty is null.
    let (answer, instruction, prompts) = unsafe {
        (
            &mut *(*state).cast::<A>(),
            slice(instruction.cast(), instruction_len.try_into().unwrap_or(0)),
            slice(prompts, count),
        )
    };
    let questions: Vec<Question<'_>> = prompts
        .iter()
        .map(|prompt| Question {
            // SAFETY: as above.
            text: unsafe { slice(prompt.text, prompt.length) },
            is_shown: prompt.echo != 0,
        })
        .collect();
    let answers = answer.answer(instruction, &questions);
    for (index, secret) in answers.iter().take(count).enumerate() {
        let text = secret.expose();
        // SAFETY: libssh2 frees the text with free(), so it is allocated with malloc(); the copy
        // stays within both buffers. There are `count` responses, zeroed: one that is left so is
        // empty.
        unsafe {
            let copy: *mut u8 = libc::malloc(text.len().max(1)).cast();
            if copy.is_null() {
                return;
            }
            ptr::copy_nonoverlapping(text.as_ptr(), copy, text.len());
            *responses.add(index) = raw::LIBSSH2_USERAUTH_KBDINT_RESPONSE {
                text: copy.cast(),
                length: c_uint::try_from(text.len()).expect("a password is short"),
            };
        }
    }
}

/// Returns what libssh2 passes as a pointer and a length; what is empty may be null.
///
/// # Safety
/// Unless null, the pointer leads to so many values that live as long as the slice.
unsafe fn slice<'a, T>(start: *const T, length: usize) -> &'a [T] {
    if start.is_null() {
        return &[];
    }
    // SAFETY: this is what the caller promises.
    unsafe { std::slice::from_raw_parts(start, length) }
}

fn status(code: c_int) -> Result<(), i32> {
    if code < 0 { Err(code) } else { Ok(()) }
}

fn length(count: isize) -> Result<usize, i32> {
    usize::try_from(count).map_err(|_| i32::try_from(count).unwrap_or(raw::LIBSSH2_ERROR_PROTO))
}
