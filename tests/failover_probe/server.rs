//! A server that accepts one connection, reads one request, and answers with given bytes.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What it does after it has read the request.
pub(crate) enum Then {
    /// Sends these, each by itself, and closes once the other side has.
    Send(Vec<Vec<u8>>),
    /// Sends this and closes.
    Close(Vec<u8>),
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    served: JoinHandle<(String, io::Result<usize>)>,
}

impl Server {
    pub(crate) async fn start(then: Then) -> Self {
        Self::start_at("127.0.0.1:0", then).await.expect("loopback")
    }

    pub(crate) async fn start_at(address: &str, then: Then) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { address, served: tokio::spawn(serve(listener, then)) })
    }

    pub(crate) async fn sends(answer: impl AsRef<[u8]>) -> Self {
        Self::start(Then::Send(vec![answer.as_ref().to_vec()])).await
    }

    pub(crate) async fn silent() -> Self {
        Self::start(Then::Send(vec![])).await
    }

    /// What was asked, and how the other side closed the connection.
    pub(crate) async fn served(self) -> (String, io::Result<usize>) {
        self.served.await.expect("the server does not panic")
    }
}

async fn serve(listener: TcpListener, then: Then) -> (String, io::Result<usize>) {
    let (mut stream, _) = listener.accept().await.expect("a connection");
    let request = request(&mut stream).await;
    match then {
        Then::Send(parts) => {
            stream.set_nodelay(true).expect("a socket");
            for part in parts {
                if stream.write_all(&part).await.is_err() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        Then::Close(answer) => {
            let _ = stream.write_all(&answer).await;
            let _ = stream.shutdown().await;
        }
    }
    let closed = stream.read(&mut [0; 64]).await;
    (request, closed)
}

/// Everything up to the empty line, or to the end.
async fn request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") && stream.read_buf(&mut request).await.is_ok_and(|read| read > 0) {}
    String::from_utf8(request).expect("text")
}
