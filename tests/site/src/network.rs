//! The site's network: who is reachable from where, and every socket of every server.
//!
//! A server has one of three states of power. `On` is normal. `Frozen` accepts and says nothing: a
//! host that hangs. `Off` is a power cut: what was connected goes silent and new connections are not
//! answered at all. On loopback the kernel would answer for a server that is gone, so its listening
//! sockets stay open with an accept queue of one that the site itself fills: Linux then drops every
//! further SYN, which is what a client of a dead host sees. Two things differ: bytes sent to
//! a silent connection are still acknowledged by the kernel, and ping answers.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::SiteError;
use crate::config::SiteConfig;
use crate::wire::{Connection, Wire, lock};

/// Where a connection comes from or goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Node {
    /// Not a server of the site: monitors, above all.
    Outside,
    /// The server at this index.
    Server(usize),
}

/// What state a server is in as a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// It runs.
    On,
    /// It hangs: connections are accepted, nothing is ever said.
    Frozen,
    /// It is gone.
    Off,
}

/// How long a connection to a full queue may take before the queue counts as full. On loopback a
/// connection that is going to succeed takes microseconds.
const QUEUE_IS_FULL_AFTER: Duration = Duration::from_millis(40);

#[derive(Debug, Default)]
struct Sockets {
    connections: HashMap<u64, Arc<Connection>>,
    next: u64,
    listeners: HashMap<(usize, u16), Arc<TcpListener>>,
    /// What fills the accept queues of servers that are off.
    fillers: HashMap<usize, Vec<TcpStream>>,
    cuts: HashSet<(Node, Node)>,
}

/// Every socket of the site, and who may talk to whom.
#[derive(Debug)]
pub(crate) struct Network {
    net: [u8; 3],
    ports: [u16; 4],
    power: Vec<watch::Sender<Power>>,
    sockets: Mutex<Sockets>,
    this: Weak<Self>,
}

impl Network {
    pub(crate) fn new(net: [u8; 3], config: &SiteConfig) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            net,
            ports: config.ports.all(),
            power: config.servers.iter().map(|_| watch::Sender::new(Power::On)).collect(),
            sockets: Mutex::default(),
            this: this.clone(),
        })
    }

    pub(crate) const fn address(&self, server: usize) -> Ipv4Addr {
        SiteConfig::address(self.net, server)
    }

    fn node(&self, address: IpAddr) -> Node {
        (0..self.power.len())
            .find(|&server| IpAddr::V4(self.address(server)) == address)
            .map_or(Node::Outside, Node::Server)
    }

    pub(crate) fn power(&self, server: usize) -> Power {
        self.power.get(server).map_or(Power::Off, |power| *power.borrow())
    }

    /// Returns once the server is not frozen: what a hanging machine was about to do waits.
    pub(crate) async fn thawed(&self, server: usize) {
        if let Some(power) = self.power.get(server) {
            let _ = power.subscribe().wait_for(|power| *power != Power::Frozen).await;
        }
    }

    /// Listens on a port of a server. Waits up to a second for an earlier owner's socket to close.
    pub(crate) async fn listen(
        &self,
        server: usize,
        port: u16,
    ) -> Result<Arc<TcpListener>, SiteError> {
        let address = SocketAddr::from((self.address(server), port));
        let mut tries = 0;
        let listener = loop {
            match TcpListener::bind(address).await {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries < 100 => {
                    tries += 1;
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                done => break done.map_err(|error| SiteError::Listen(address, error))?,
            }
        };
        let listener = Arc::new(listener);
        lock(&self.sockets).listeners.insert((server, port), Arc::clone(&listener));
        Ok(listener)
    }

    /// The next connection of a listener of `server`.
    pub(crate) async fn accept(&self, server: usize, listener: &TcpListener) -> Wire {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let port = listener.local_addr().ok().map(|address| address.port());
                    return self.adopt(stream, server, port, self.node(peer.ip()));
                }
                // Out of file descriptors, above all: others may close.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Connects from a server, with that server's address. A cut on the way is waited out, as a
    /// connection whose SYN is lost would be; so bound it by a time-out.
    pub(crate) async fn connect(&self, server: usize, target: SocketAddr) -> io::Result<Wire> {
        let remote = self.node(target.ip());
        while self.is_cut(server, remote) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((self.address(server), 0)))?;
        let stream = socket.connect(target).await?;
        Ok(self.adopt(stream, server, None, remote))
    }

    fn adopt(&self, stream: TcpStream, server: usize, port: Option<u16>, remote: Node) -> Wire {
        let connection = Arc::new(Connection::new(stream, server, port, remote));
        let mut sockets = lock(&self.sockets);
        sockets.next += 1;
        let id = sockets.next;
        connection.set_silent(self.silent(&sockets, &connection));
        sockets.connections.insert(id, Arc::clone(&connection));
        Wire::new(connection, id, self.this.clone())
    }

    fn silent(&self, sockets: &Sockets, connection: &Connection) -> bool {
        self.power(connection.server) != Power::On
            || sockets.cuts.contains(&(Node::Server(connection.server), connection.remote))
    }

    /// Whether a server and somebody else cannot reach one another.
    pub(crate) fn is_cut(&self, server: usize, other: Node) -> bool {
        lock(&self.sockets).cuts.contains(&(Node::Server(server), other))
    }

    /// A wire's user let go of it. A server that is off sends no FIN, so its end is kept open.
    pub(crate) fn dropped(&self, id: u64) {
        let mut sockets = lock(&self.sockets);
        let off = sockets
            .connections
            .get(&id)
            .is_some_and(|connection| self.power(connection.server) == Power::Off);
        if !off {
            sockets.connections.remove(&id);
        }
    }

    fn reconsider(&self, sockets: &Sockets) {
        for connection in sockets.connections.values() {
            connection.set_silent(self.silent(sockets, connection));
        }
    }

    /// Ends what the process behind a port had: its listener and its connections, with FIN.
    pub(crate) fn close_port(&self, server: usize, port: u16) {
        let mut sockets = lock(&self.sockets);
        sockets.listeners.remove(&(server, port));
        for connection in sockets.connections.values() {
            if connection.server == server && connection.port == Some(port) {
                connection.close(false);
            }
        }
    }

    /// Resets every connection of a server.
    pub(crate) fn reset(&self, server: usize) {
        let mut sockets = lock(&self.sockets);
        let all = std::mem::take(&mut sockets.connections);
        let (ended, kept): (HashMap<_, _>, HashMap<_, _>) =
            all.into_iter().partition(|(_, connection)| connection.server == server);
        sockets.connections = kept;
        drop(sockets);
        for connection in ended.values() {
            connection.close(true);
        }
    }

    /// Cuts or joins a server and somebody else, in both directions.
    pub(crate) fn set_cut(&self, server: usize, other: Node, cut: bool) {
        let mut sockets = lock(&self.sockets);
        for pair in [(Node::Server(server), other), (other, Node::Server(server))] {
            if cut {
                sockets.cuts.insert(pair);
            } else {
                sockets.cuts.remove(&pair);
            }
        }
        self.reconsider(&sockets);
    }

    pub(crate) fn set_frozen(&self, server: usize, frozen: bool) {
        self.set_power(server, if frozen { Power::Frozen } else { Power::On });
    }

    fn set_power(&self, server: usize, power: Power) {
        if let Some(sender) = self.power.get(server) {
            sender.send_replace(power);
        }
        self.reconsider(&lock(&self.sockets));
    }

    /// The power is cut: connections are silent from now on, and outlive the processes that had them.
    pub(crate) fn power_off(&self, server: usize) {
        self.set_power(server, Power::Off);
    }

    /// Fills the accept queues of a server that is off: when this returns, new connections hang. No
    /// process may accept any more by now, because it would make room.
    pub(crate) async fn fill_queues(&self, server: usize) {
        let mut fillers = Vec::new();
        for port in self.ports {
            let listener = {
                let mut sockets = lock(&self.sockets);
                match sockets.listeners.get(&(server, port)) {
                    Some(listener) => {
                        let _ = socket2::SockRef::from(&**listener).listen(0);
                        Arc::clone(listener)
                    }
                    // Nothing listens here, but a dead host does not refuse either.
                    None => match self.hole(server, port) {
                        Ok(listener) => {
                            let listener = Arc::new(listener);
                            sockets.listeners.insert((server, port), Arc::clone(&listener));
                            listener
                        }
                        Err(error) => {
                            tracing::warn!(server, port, %error, "a dead port will refuse");
                            continue;
                        }
                    },
                }
            };
            let Ok(address) = listener.local_addr() else { continue };
            while let Ok(Ok(filler)) =
                timeout(QUEUE_IS_FULL_AFTER, TcpStream::connect(address)).await
            {
                fillers.push(filler);
            }
        }
        lock(&self.sockets).fillers.insert(server, fillers);
    }

    fn hole(&self, server: usize, port: u16) -> io::Result<TcpListener> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from((self.address(server), port)))?;
        socket.listen(0)
    }

    /// The power is back: who still holds an old connection is told by a reset, and ports refuse until
    /// something listens.
    pub(crate) fn power_on(&self, server: usize) {
        {
            let mut sockets = lock(&self.sockets);
            sockets.fillers.remove(&server);
            sockets.listeners.retain(|(of, _), _| *of != server);
        }
        self.reset(server);
        self.set_power(server, Power::On);
    }

    /// Ends everything, for good.
    pub(crate) fn close(&self) {
        for server in 0..self.power.len() {
            self.power_on(server);
        }
    }
}
