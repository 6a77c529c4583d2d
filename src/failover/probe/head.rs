//! One exchange over HTTP/1.1, of which only the head of the answer is read.

use std::{
    fmt,
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf},
    net::TcpStream,
};

use super::target::Wrong;

/// No head is longer, those of interim answers included.
const LONGEST: usize = 16 * 1024;
/// How much of a body is taken in so that the connection is closed rather than reset.
const BODY: usize = 64 * 1024;
const HEADERS: usize = 128;
/// How an answer begins.
const BEGINS: &[u8] = b"HTTP/1.";

/// The head of an answer, for [`HttpProbe::reads`](super::HttpProbe::reads).
pub struct Head<'a> {
    status: u16,
    headers: &'a [httparse::Header<'a>],
}

impl Head<'_> {
    /// The status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The first header of this name, in whatever case, if its value is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(header.value).ok()
    }
}

impl fmt::Debug for Head<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head").field("status", &self.status).finish_non_exhaustive()
    }
}

/// Sends the request, and judges the head of the answer. Whatever else there is of it is not waited for.
pub(super) async fn exchange<R>(
    mut stream: TcpStream,
    request: &[u8],
    judge: impl Fn(&Head<'_>) -> Result<R, Wrong>,
) -> Result<R, Wrong> {
    stream.write_all(request).await.map_err(Wrong::Io)?;
    let mut answer = Vec::with_capacity(1024);
    let (mut seen, mut before) = (0, 0);
    loop {
        // What has been looked at already holds no end, but may hold the beginning of one.
        if let Some(end) = end(&answer, seen) {
            let Some(judged) = read(&answer[..end], &judge) else {
                answer.drain(..end);
                (seen, before) = (0, before + end);
                continue;
            };
            poll_fn(|cx| discard(&mut stream, cx)).await;
            return judged;
        }
        recognise(&answer)?;
        seen = answer.len();
        let room = LONGEST - before - seen;
        if room == 0 {
            return Err(Wrong::TooLong);
        }
        match (&mut stream).take(room as u64).read_buf(&mut answer).await.map_err(Wrong::Io)? {
            0 if before + seen == 0 => return Err(Wrong::Closed),
            0 => return Err(Wrong::CutOff),
            _ => {}
        }
    }
}

/// Judges a whole head. `None` for "continue", hints and the like: the answer is yet to come.
fn read<R>(head: &[u8], judge: impl Fn(&Head<'_>) -> Result<R, Wrong>) -> Option<Result<R, Wrong>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = match response.parse(head) {
        Ok(parsed) => parsed,
        Err(error) => return Some(Err(Wrong::Malformed(error.to_string()))),
    };
    match response.code.filter(|_| parsed.is_complete()) {
        None => Some(Err(Wrong::Malformed("it ends too soon".into()))),
        Some(100 | 102..=199) => None,
        Some(status) => Some(judge(&Head { status, headers: response.headers })),
    }
}

/// Where the first head ends, after the empty line, if it does; nothing before `seen` is the end of one.
fn end(answer: &[u8], seen: usize) -> Option<usize> {
    let from = seen.saturating_sub(2);
    let rest = &answer[from..];
    (0..rest.len()).find_map(|at| match rest[at..] {
        [b'\n', b'\n', ..] => Some(from + at + 2),
        [b'\n', b'\r', b'\n', ..] => Some(from + at + 3),
        _ => None,
    })
}

/// Says so at once where no HTTP is spoken: the end of a head would be waited for in vain.
fn recognise(answer: &[u8]) -> Result<(), Wrong> {
    match answer {
        [0x15 | 0x16, 3, ..] => Err(Wrong::Tls),
        _ if answer.iter().zip(BEGINS).all(|(is, should)| is == should) => Ok(()),
        _ => Err(Wrong::NotHttp(answer[..answer.len().min(32)].escape_ascii().to_string())),
    }
}

/// Takes in what has come of the body, without waiting for more: closed with something unread, the connection would be
/// reset, which servers log as an error.
fn discard(stream: &mut TcpStream, cx: &mut Context<'_>) -> Poll<()> {
    let mut chunk = [0; 4096];
    for _ in 0..BODY / chunk.len() {
        let mut chunk = ReadBuf::new(&mut chunk);
        let read: Poll<io::Result<()>> = Pin::new(&mut *stream).poll_read(cx, &mut chunk);
        if !matches!(read, Poll::Ready(Ok(()))) || chunk.filled().is_empty() {
            break;
        }
    }
    Poll::Ready(())
}
