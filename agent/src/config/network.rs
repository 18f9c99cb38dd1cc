//! `[network]`: the proxy's address, and who is reached without it. Pure.

use std::net::{IpAddr, Ipv6Addr};
use url::{Host, Url};

/// The proxy as `http://host:port`. Refuses other schemes, a user, a path.
pub fn proxy_address(text: &str) -> Result<Url, &'static str> {
    if text.contains('@') {
        return Err("[network] proxy names no user: no secret belongs in config.toml, and such proxies are not served");
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
        return Err("[network] proxy has no space, control character or backslash");
    }
    let url = Url::parse(text).map_err(|_| "[network] proxy is http://host:port")?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    if url.scheme() != "http" || !bare || url.host_str().is_none_or(str::is_empty) {
        return Err("[network] proxy is http://host:port");
    }
    Ok(url)
}

/// Who is reached without the proxy: as curl reads NO_PROXY. An entry is `*`, an address, a network
/// (`address/bits`), or a name, which stands for itself and all below it, with or without a leading dot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NoProxy(Vec<Entry>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    All,
    Name(String),
    Network(IpAddr, u32),
}

impl NoProxy {
    /// From the entries. Those that are none are left out: [`NoProxy::check`] has refused them.
    pub fn new(entries: &[String]) -> Self {
        Self(entries.iter().filter_map(|entry| parse(entry)).collect())
    }

    /// Refuses what is no entry.
    pub fn check(entry: &str) -> Result<(), &'static str> {
        parse(entry).map(drop).ok_or("[network] no_proxy has names, addresses, address/bits or \"*\"")
    }

    /// Whether a host is reached directly. Loopback and link-local addresses always are.
    pub fn covers(&self, host: &Host<&str>) -> bool {
        let address = match host {
            Host::Domain(name) => return self.covers_name(name.trim_end_matches('.')),
            Host::Ipv4(address) => IpAddr::V4(*address),
            Host::Ipv6(address) => address.to_ipv4_mapped().map_or(IpAddr::V6(*address), IpAddr::V4),
        };
        is_near(address)
            || self.0.iter().any(|entry| match entry {
                Entry::All => true,
                Entry::Name(_) => false,
                Entry::Network(network, bits) => within(address, *network, *bits),
            })
    }

    fn covers_name(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let below = |domain: &str| name.strip_suffix(domain).is_some_and(|left| left.is_empty() || left.ends_with('.'));
        name == "localhost"
            || name.ends_with(".localhost")
            || self.0.iter().any(|entry| match entry {
                Entry::All => true,
                Entry::Name(domain) => below(domain),
                Entry::Network(..) => false,
            })
    }
}

fn parse(entry: &str) -> Option<Entry> {
    if entry == "*" {
        return Some(Entry::All);
    }
    let (address, bits) = match entry.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u32>().ok()?)),
        None => (entry, None),
    };
    let bare = address.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(address);
    if let Ok(address) = bare.parse::<IpAddr>() {
        let most = if address.is_ipv4() { 32 } else { 128 };
        return Some(Entry::Network(address, bits.unwrap_or(most))).filter(|_| bits.is_none_or(|bits| bits <= most));
    }
    let name = entry.strip_prefix('.').unwrap_or(entry).trim_end_matches('.').to_ascii_lowercase();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (!name.is_empty() && name.chars().all(plain)).then_some(Entry::Name(name))
}

/// This machine, or its own link: no proxy of ours is nearer.
fn is_near(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback() || address.is_link_local(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unicast_link_local(),
    }
}

fn within(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    let number = |address: IpAddr| match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 4),
        IpAddr::V6(address) => (Ipv6Addr::to_bits(address), 6),
    };
    let ((address, kind), (network, other)) = (number(address), number(network));
    let mask = u128::MAX.checked_shl(128_u32.saturating_sub(bits)).unwrap_or(0);
    kind == other && address & mask == network & mask
}

#[cfg(test)]
mod tests {
    use super::{NoProxy, proxy_address};
    use url::Url;

    fn direct(entries: &[&str], url: &str) -> bool {
        let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
        NoProxy::new(&entries).covers(&Url::parse(url).expect("a URL").host().expect("a host"))
    }

    #[test]
    fn a_name_stands_for_itself_and_all_below_it() {
        for entry in ["corp.example", ".corp.example", "CORP.example.", "a.b", "*"] {
            let covers = entry != "a.b";
            assert_eq!(direct(&["x", entry], "https://corp.example/"), covers, "{entry}");
            assert_eq!(direct(&["x", entry], "https://sts.Corp.example:8443/"), covers, "{entry}");
            assert_eq!(direct(&["x", entry], "https://notcorp.example/"), entry == "*", "{entry}");
            assert_eq!(direct(&["x", entry], "https://corp.example.evil/"), entry == "*", "{entry}");
            assert_eq!(direct(&["x", entry], "https://192.0.2.7/"), entry == "*", "{entry}");
        }
    }

    #[test]
    fn addresses_and_networks() {
        let table: &[(&str, &str, bool)] = &[
            ("192.0.2.7", "https://192.0.2.7/", true),
            ("192.0.2.7", "https://192.0.2.8/", false),
            ("192.0.2.0/24", "https://192.0.2.8/", true),
            ("192.0.2.0/24", "https://192.0.3.8/", false),
            ("192.0.2.9/31", "https://192.0.2.8/", true),
            ("0.0.0.0/0", "https://198.51.100.1/", true),
            ("0.0.0.0/0", "https://[2001:db8::1]/", false),
            ("0.0.0.0/0", "https://a.example/", false),
            ("2001:db8::/32", "https://[2001:db8:1::1]/", true),
            ("[2001:db8::1]", "https://[2001:db8::1]/", true),
            ("2001:db8::/32", "https://[2001:db9::1]/", false),
            ("::/0", "https://[2001:db9::1]/", true),
        ];
        for (entry, url, covered) in table {
            assert_eq!(direct(&[entry], url), *covered, "{entry} {url}");
        }
    }

    #[test]
    fn what_is_near_is_never_reached_by_proxy() {
        for host in [
            "127.0.0.1",
            "127.9.9.9",
            "[::1]",
            "localhost",
            "a.localhost",
            "169.254.170.2",
            "[fe80::1]",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(direct(&[], &format!("http://{host}:8080/")), "{host}");
        }
        for host in ["192.0.2.1", "a.example", "localhost.example", "[2001:db8::1]", "10.0.0.1"] {
            assert!(!direct(&[], &format!("http://{host}:8080/")), "{host}");
        }
    }

    #[test]
    fn what_is_no_entry_and_what_is_no_proxy_is_refused() {
        for entry in ["", ".", "https://a", "a b", "a,b", "192.0.2.0/33", "192.0.2.0/x", "2001:db8::/129", "a/8", "*.a"]
        {
            assert!(NoProxy::check(entry).is_err(), "{entry}");
        }
        assert!(proxy_address("http://proxy.example:3128").is_ok() && proxy_address("http://[::1]:3128/").is_ok());
        for proxy in [
            "proxy.example:3128",
            "https://proxy.example:3128",
            "socks5://proxy.example:1080",
            "http://proxy.example:3128/path",
            "http://ada@proxy.example:3128",
            "http://ada:secret@proxy.example",
            "http://proxy.example:3128?x",
            "http://proxy.example:3128#x",
            "http://",
            "http://a b",
            "",
        ] {
            assert!(proxy_address(proxy).is_err(), "{proxy}");
        }
    }
}
