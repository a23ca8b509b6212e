//! Where a request comes from, and the addresses that a key works from.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use axum::http::{HeaderMap, HeaderName};

/// The one header of proxies that is read, and only when it was a trusted proxy that sent it.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// An address, or a network of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AddressRange {
    network: IpAddr,
    length: u8,
}

/// Why a text names no range of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRange {
    /// Neither an address nor a network.
    #[error("'{0}' is neither an address nor a network such as 10.1.0.0/16 or 2001:db8::/32")]
    Form(String),
    /// The address has bits behind the prefix: a slip of the pen, or another network than was meant.
    #[error("'{0}' names an address inside a network; the network is {1}")]
    NotANetwork(String, AddressRange),
}

/// The address as a number, and its width in bits.
fn bits(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(address) => (u32::from(address).into(), 32),
        IpAddr::V6(address) => (address.into(), 128),
    }
}

/// The address with all bits behind the prefix cleared.
fn network_of(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(u32::from(32 - length)).unwrap_or(0);
            IpAddr::V4((u32::from(address) & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(u32::from(128 - length)).unwrap_or(0);
            IpAddr::V6((u128::from(address) & mask).into())
        }
    }
}

impl AddressRange {
    /// Is the address in the range? An IPv4 address that is mapped into IPv6 is the IPv4 address.
    pub fn contains(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        bits(address).1 == bits(self.network).1 && network_of(address, self.length) == self.network
    }

    /// What is counted as one client: an IPv4 address, or the network of an IPv6 one, of which every client has 2^64.
    pub fn of_client(address: IpAddr) -> Self {
        let network = address.to_canonical();
        let length = if network.is_ipv4() { 32 } else { 64 };
        Self {
            network: network_of(network, length),
            length,
        }
    }
}

impl FromStr for AddressRange {
    type Err = InvalidRange;

    fn from_str(text: &str) -> Result<Self, InvalidRange> {
        let invalid = || InvalidRange::Form(text.chars().take(60).collect());
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let width = bits(address).1;
        let length = match length {
            None => width,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map_err(|_| invalid())?
            }
            Some(_) => return Err(invalid()),
        };
        if length > width {
            return Err(invalid());
        }
        let network = network_of(address, length);
        // A mapped IPv4 address would never be met as such.
        let range = match (network.to_canonical(), length.checked_sub(96)) {
            (IpAddr::V4(mapped), Some(length)) if address.is_ipv6() => Self {
                network: mapped.into(),
                length,
            },
            _ => Self { network, length },
        };
        if network == address {
            Ok(range)
        } else {
            Err(InvalidRange::NotANetwork(
                text.chars().take(60).collect(),
                range,
            ))
        }
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.length == bits(self.network).1 {
            write!(f, "{}", self.network)
        } else {
            write!(f, "{}/{}", self.network, self.length)
        }
    }
}

/// The other end of the connection, noted by what accepted it.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// Where a request comes from, and what it is called.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// The client's address; `None` when a trusted proxy named one that cannot be read, and for calls inside the process.
    pub address: Option<IpAddr>,
    /// The `x-request-id`.
    pub request_id: Option<String>,
}

/// The client's address. Only what a trusted proxy added to `X-Forwarded-For` counts: the list is read from its end, over
/// the proxies that are trusted, to the first address that is not. What stands before that was written by the client.
pub fn client_address(
    headers: &HeaderMap,
    peer: IpAddr,
    trusted: &[AddressRange],
) -> Option<IpAddr> {
    let is_trusted = |address: IpAddr| trusted.iter().any(|range| range.contains(address));
    let mut nearest = peer.to_canonical();
    if !is_trusted(nearest) {
        return Some(nearest);
    }
    let lines: Vec<_> = headers.get_all(FORWARDED_FOR).iter().collect();
    for line in lines.into_iter().rev() {
        for hop in line.to_str().ok()?.rsplit(',') {
            nearest = hop_address(hop.trim())?.to_canonical();
            if !is_trusted(nearest) {
                return Some(nearest);
            }
        }
    }
    Some(nearest)
}

/// An address as proxies write it, perhaps with a port.
fn hop_address(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    bare.unwrap_or(text).parse().ok().or_else(|| {
        let with_port: SocketAddr = text.parse().ok()?;
        Some(with_port.ip())
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn range(text: &str) -> AddressRange {
        text.parse().expect(text)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect(text)
    }

    #[test]
    fn a_range_is_written_as_a_network_and_reads_back() {
        for (text, shown) in [
            ("10.1.2.3", "10.1.2.3"),
            ("10.1.2.3/32", "10.1.2.3"),
            ("10.1.0.0/16", "10.1.0.0/16"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "::/0"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
        ] {
            assert_eq!(range(text).to_string(), shown);
            assert_eq!(range(shown), range(text));
        }
        for text in [
            "",
            "10",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "::/129",
            "host",
            "10.0.0.010",
            "fe80::1%eth0",
            "10.0.0.1:80",
        ] {
            assert!(
                matches!(text.parse::<AddressRange>(), Err(InvalidRange::Form(_))),
                "{text}"
            );
        }
        let error = "10.1.2.3/8"
            .parse::<AddressRange>()
            .expect_err("no network");
        assert!(error.to_string().contains("10.0.0.0/8"), "{error}");
    }

    #[test]
    fn a_range_holds_its_own_family_only_and_mapped_addresses_are_what_they_map() {
        assert!(range("10.0.0.0/8").contains(address("::ffff:10.9.8.7")));
        assert!(!range("::/0").contains(address("10.0.0.1")));
        assert!(!range("::/0").contains(address("::ffff:10.0.0.1")));
        assert!(!range("0.0.0.0/0").contains(address("::1")));
        assert!(!range("10.0.0.0/8").contains(address("11.0.0.1")));
        assert_eq!(
            AddressRange::of_client(address("2001:db8:1:2:3::4")).to_string(),
            "2001:db8:1:2::/64"
        );
    }

    proptest! {
        #[test]
        fn an_address_is_in_a_network_when_their_first_bits_are_the_same(
            one: u32, other: u32, length in 0_u8..=32,
        ) {
            let network = network_of(IpAddr::V4(one.into()), length);
            let is_same = (0..length).all(|bit| (one ^ other) >> (31 - bit) & 1 == 0);
            let range = range(&format!("{network}/{length}"));
            prop_assert_eq!(range.contains(IpAddr::V4(other.into())), is_same);
        }
    }

    fn seen(peer: &str, forwarded: &[&str], trusted: &[&str]) -> Option<IpAddr> {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append(
                FORWARDED_FOR,
                HeaderValue::from_str(line).expect("a header"),
            );
        }
        headers.insert("forwarded", HeaderValue::from_static("for=10.0.0.1"));
        headers.insert("x-real-ip", HeaderValue::from_static("10.0.0.1"));
        let trusted: Vec<_> = trusted.iter().map(|text| range(text)).collect();
        client_address(&headers, address(peer), &trusted)
    }

    #[test]
    fn a07_only_what_a_trusted_proxy_said_counts() {
        let is = |text: &str| Some(address(text));
        // Nobody is trusted: the peer it is, whatever it says.
        assert_eq!(seen("203.0.113.9", &["10.0.0.1"], &[]), is("203.0.113.9"));
        assert_eq!(
            seen("203.0.113.9", &["10.0.0.1"], &["192.0.2.0/24"]),
            is("203.0.113.9")
        );
        let proxies = ["192.0.2.0/24"];
        assert_eq!(
            seen("192.0.2.1", &["203.0.113.9"], &proxies),
            is("203.0.113.9")
        );
        // The client wrote the first, the proxy the last, in one line or in two.
        assert_eq!(
            seen("192.0.2.1", &["10.0.0.1, 203.0.113.9"], &proxies),
            is("203.0.113.9")
        );
        assert_eq!(
            seen("192.0.2.1", &["10.0.0.1", "203.0.113.9"], &proxies),
            is("203.0.113.9")
        );
        assert_eq!(
            seen("192.0.2.1", &["nonsense, 203.0.113.9:4711"], &proxies),
            is("203.0.113.9")
        );
        assert_eq!(
            seen("192.0.2.1", &["[2001:db8::1]:4711"], &proxies),
            is("2001:db8::1")
        );
        // Two proxies in a row.
        assert_eq!(
            seen(
                "::ffff:192.0.2.1",
                &["10.0.0.1, 203.0.113.9, 192.0.2.7"],
                &proxies
            ),
            is("203.0.113.9")
        );
        assert_eq!(seen("192.0.2.1", &[], &proxies), is("192.0.2.1"));
        assert_eq!(seen("192.0.2.1", &["203.0.113.9, unknown"], &proxies), None);
    }
}
