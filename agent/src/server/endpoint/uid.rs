//! Whose connection it is: the user id of a loopback socket, as the kernel tells it (sock_diag(7)).

use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, recv, send, socket_with};
use std::io;
use std::net::SocketAddrV4;

/// `SOCK_DIAG_BY_FAMILY` (linux/sock_diag.h).
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST` (linux/netlink.h).
const REQUEST: u16 = 1;
/// `IPPROTO_TCP`.
const TCP: u8 = 6;
/// `AF_INET`. It finds an IPv6 socket that speaks IPv4 as well.
const INET: u8 = 2;
/// struct nlmsghdr and struct inet_diag_req_v2 (linux/inet_diag.h).
const QUESTION: usize = 16 + 56;
/// Where struct inet_diag_msg has the ports, and where the uid.
const PORTS_AT: usize = 16 + 4;
const UID_AT: usize = 16 + 4 + 48 + 12;

/// The user who opened the socket at `theirs` that is connected to `ours`. Errors where the kernel does not know the
/// socket, any more or at all: then nobody can be trusted to be anyone.
pub(super) fn of_peer(theirs: SocketAddrV4, ours: SocketAddrV4) -> io::Result<u32> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let netlink = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(netlink::SOCK_DIAG))?;
    // Connected to the kernel: nobody else's message is taken for its answer.
    connect(&netlink, &SocketAddrNetlink::new(0, 0))?;
    send(&netlink, &question(theirs, ours), SendFlags::empty())?;
    let mut answer = [0; 512];
    let (length, _) = recv(&netlink, &mut answer, RecvFlags::empty())?;
    let answer = answer.get(..length).unwrap_or_default();
    uid_of(answer, theirs.port(), ours.port()).ok_or_else(|| Errno::NOENT.into())
}

fn question(theirs: SocketAddrV4, ours: SocketAddrV4) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(QUESTION);
    bytes.extend(u32::try_from(QUESTION).unwrap_or_default().to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend(REQUEST.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend([INET, TCP, 0, 0]);
    bytes.extend(u32::MAX.to_ne_bytes());
    bytes.extend(theirs.port().to_be_bytes());
    bytes.extend(ours.port().to_be_bytes());
    for address in [theirs, ours] {
        bytes.extend(address.ip().octets());
        bytes.extend([0; 12]);
    }
    bytes.extend([0; 4]);
    // INET_DIAG_NOCOOKIE
    bytes.extend([0xff; 8]);
    bytes
}

/// None where the answer is an error, or about another socket.
fn uid_of(answer: &[u8], theirs: u16, ours: u16) -> Option<u32> {
    let kind = u16::from_ne_bytes(*answer.get(4..)?.first_chunk()?);
    let their_port = u16::from_be_bytes(*answer.get(PORTS_AT..)?.first_chunk()?);
    let our_port = u16::from_be_bytes(*answer.get(PORTS_AT + 2..)?.first_chunk()?);
    let uid = u32::from_ne_bytes(*answer.get(UID_AT..)?.first_chunk()?);
    (kind == SOCK_DIAG_BY_FAMILY && (their_port, our_port) == (theirs, ours)).then_some(uid)
}

#[cfg(test)]
mod tests {
    use super::{of_peer, uid_of};
    use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};

    fn v4(address: SocketAddr) -> SocketAddrV4 {
        let SocketAddr::V4(address) = address else { panic!("IPv4") };
        address
    }

    #[test]
    fn the_kernel_knows_the_user_of_a_connection_over_ipv4_and_ipv4_in_ipv6() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let ours = v4(listener.local_addr().unwrap());
        let own = rustix::process::geteuid().as_raw();
        for address in ["127.0.0.1", "::ffff:127.0.0.1"] {
            let _client = TcpStream::connect((address, ours.port())).unwrap();
            let (_, theirs) = listener.accept().unwrap();
            assert_eq!(of_peer(v4(theirs), ours).unwrap(), own, "{address}");
        }
    }

    #[test]
    fn a_connection_that_is_not_there_has_no_user() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let ours = v4(listener.local_addr().unwrap());
        assert!(of_peer(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1), ours).is_err());
        for length in 0..120 {
            assert_eq!(uid_of(&vec![0; length], 0, 0), None, "{length} bytes that are no answer");
        }
    }
}
