//! A name server with records that change, over UDP and TCP on one port.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
};

use hickory_resolver::proto::{
    op::{Message, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{CNAME, SRV},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::mpsc,
};

/// What is said to a question.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Records(Vec<Record>),
    /// With this code and no records.
    Code(ResponseCode),
    Silence,
    /// Over UDP nothing but that it is too long; over TCP these.
    TooLong(Vec<Record>),
}

type Zone = Arc<Mutex<HashMap<(Name, RecordType), Reply>>>;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    zone: Zone,
    /// What has been asked.
    pub(crate) questions: mpsc::UnboundedReceiver<(Name, RecordType)>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let (tcp, udp) = bind().await;
        let address = udp.local_addr().unwrap();
        let (asked, questions) = mpsc::unbounded_channel();
        let zone = Zone::default();
        tokio::spawn(over_udp(udp, zone.clone(), asked.clone()));
        tokio::spawn(over_tcp(tcp, zone.clone(), asked));
        Self { address, zone, questions }
    }

    /// From now on. What has no reply does not exist.
    pub(crate) fn says(&self, of: &str, kind: RecordType, reply: Reply) {
        self.zone.lock().unwrap().insert((name(of), kind), reply);
    }

    /// These addresses of both kinds, for so many seconds.
    pub(crate) fn has(&self, of: &str, addresses: &[&str], ttl: u32) {
        let (v4, v6) = addresses.iter().map(|ip| ip.parse::<IpAddr>().unwrap()).partition(IpAddr::is_ipv4);
        let records = |ips: Vec<IpAddr>| ips.into_iter().map(|ip| record(of, ttl, RData::from(ip))).collect();
        self.says(of, RecordType::A, Reply::Records(records(v4)));
        self.says(of, RecordType::AAAA, Reply::Records(records(v6)));
    }

    /// This, to questions of both kinds.
    pub(crate) fn fails(&self, of: &str, reply: &Reply) {
        self.says(of, RecordType::A, reply.clone());
        self.says(of, RecordType::AAAA, reply.clone());
    }

    /// Waits for a question of this kind.
    pub(crate) async fn asked(&mut self, kind: RecordType) {
        while self.questions.recv().await.unwrap().1 != kind {}
    }
}

/// One port for both.
async fn bind() -> (TcpListener, UdpSocket) {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
            return (tcp, udp);
        }
    }
}

async fn over_udp(socket: UdpSocket, zone: Zone, asked: mpsc::UnboundedSender<(Name, RecordType)>) {
    let mut buffer = [0; 4096];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
        if let Some(answer) = answer(&buffer[..length], &zone, &asked, true) {
            socket.send_to(&answer, from).await.unwrap();
        }
    }
}

async fn over_tcp(listener: TcpListener, zone: Zone, asked: mpsc::UnboundedSender<(Name, RecordType)>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        // Until the other side closes.
        while converse(&mut stream, &zone, &asked).await.is_ok() {}
    }
}

async fn converse(
    stream: &mut TcpStream,
    zone: &Zone,
    asked: &mpsc::UnboundedSender<(Name, RecordType)>,
) -> std::io::Result<()> {
    let mut question = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut question).await?;
    if let Some(answer) = answer(&question, zone, asked, false) {
        stream.write_u16(answer.len().try_into().unwrap()).await?;
        stream.write_all(&answer).await?;
    }
    Ok(())
}

fn answer(
    question: &[u8],
    zone: &Zone,
    asked: &mpsc::UnboundedSender<(Name, RecordType)>,
    short: bool,
) -> Option<Vec<u8>> {
    let question = Message::from_vec(question).unwrap();
    let query = question.queries.first().unwrap().clone();
    let of = (query.name().to_lowercase(), query.query_type());
    let reply = zone.lock().unwrap().get(&of).cloned().unwrap_or(Reply::Code(ResponseCode::NXDomain));
    let _ = asked.send(of);
    let mut message = Message::response(question.id, question.op_code);
    message.add_query(query);
    match reply {
        Reply::Silence => return None,
        Reply::Code(code) => message.metadata.response_code = code,
        Reply::TooLong(_) if short => message.metadata.truncation = true,
        Reply::Records(records) | Reply::TooLong(records) => {
            message.add_answers(records);
        }
    }
    Some(message.to_vec().unwrap())
}

pub(crate) fn name(text: &str) -> Name {
    let mut name = Name::from_utf8(text).unwrap();
    name.set_fqdn(true);
    name
}

pub(crate) fn record(of: &str, ttl: u32, data: RData) -> Record {
    Record::from_rdata(name(of), ttl, data)
}

pub(crate) fn alias(of: &str, ttl: u32, target: &str) -> Record {
    record(of, ttl, RData::CNAME(CNAME(name(target))))
}

pub(crate) fn service(of: &str, ttl: u32, (priority, weight, port): (u16, u16, u16), target: &str) -> Record {
    record(of, ttl, RData::SRV(SRV::new(priority, weight, port, name(target))))
}
