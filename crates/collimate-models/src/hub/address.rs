//! Addresses: how they are put together, and where an answer may lead.

use ureq::http::Uri;

/// Appends a part of a path to an address. Whatever it holds, it stays one part.
pub(super) fn push(address: &mut String, part: &str) {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    address.push('/');
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            address.push(char::from(byte));
        } else {
            let digit = |value: u8| DIGITS[usize::from(value & 15)];
            address.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

/// An address of the web; not one with a name and a password in it.
pub(super) fn parse(address: &str) -> Option<Uri> {
    let uri: Uri = address.parse().ok()?;
    let authority = uri.authority()?;
    let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
    (is_web && !authority.host().is_empty() && !authority.as_str().contains('@')).then_some(uri)
}

/// Where `location` leads from `from`: to another address, or to another path of the same server;
/// never from an encrypted connection to one that isn't.
pub(super) fn follow(from: &Uri, location: &str) -> Option<Uri> {
    let (scheme, authority) = (from.scheme_str()?, from.authority()?);
    let to = if location.starts_with("//") {
        parse(&format!("{scheme}:{location}"))
    } else if location.starts_with('/') {
        parse(&format!("{scheme}://{authority}{location}"))
    } else {
        parse(location)
    }?;
    (scheme != "https" || to.scheme_str() == Some("https")).then_some(to)
}

/// Whether two addresses are of the same server, by protocol, host and port.
pub(super) fn is_same_server(a: &Uri, b: &Uri) -> bool {
    let port = |uri: &Uri| match (uri.port_u16(), uri.scheme_str()) {
        (None, Some("http")) => Some(80),
        (None, Some("https")) => Some(443),
        (port, _) => port,
    };
    let is_same_host = match (a.host(), b.host()) {
        (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
        _ => false,
    };
    is_same_host && a.scheme_str() == b.scheme_str() && port(a) == port(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(address: &str) -> Uri {
        parse(address).unwrap()
    }

    #[test]
    fn parts_stay_parts() {
        let mut address = "https://hub".to_owned();
        for part in ["refs/pr/1", "a b", "größe?#%", "A-z_0.9~"] {
            push(&mut address, part);
        }
        assert_eq!(address, "https://hub/refs%2Fpr%2F1/a%20b/gr%C3%B6%C3%9Fe%3F%23%25/A-z_0.9~");
        assert!(parse(&address).is_some());
    }

    #[test]
    fn what_is_no_address_of_the_web() {
        for address in ["", "hub", "/path", "file:///etc", "https://", "https://me:pw@hub", "a b"] {
            assert!(parse(address).is_none(), "{address}");
        }
    }

    #[test]
    fn where_a_redirect_leads() {
        let from = uri("https://hub:8443/a/b?c");
        for (location, expected) in [
            ("/x?y=%2F", Some("https://hub:8443/x?y=%2F")),
            ("https://cdn/x", Some("https://cdn/x")),
            ("//cdn/x", Some("https://cdn/x")),
            ("http://hub:8443/x", None),
            ("http://cdn/x", None),
            ("ftp://cdn/x", None),
            ("x", None),
            ("", None),
            ("https://me@cdn/x", None),
        ] {
            let found = follow(&from, location).map(|uri| uri.to_string());
            assert_eq!(found.as_deref(), expected, "{location}");
        }
        let found = follow(&uri("http://hub/a"), "http://cdn/x");
        assert_eq!(found, Some(uri("http://cdn/x")));
    }

    #[test]
    fn servers_differ_by_protocol_host_and_port() {
        let hub = uri("https://hub/a");
        for (other, expected) in [
            ("https://hub/b", true),
            ("https://HUB:443", true),
            ("https://hub:80", false),
            ("http://hub", false),
            ("http://hub:443", false),
            ("https://hub.evil", false),
            ("https://evil/hub", false),
        ] {
            assert_eq!(is_same_server(&hub, &uri(other)), expected, "{other}");
        }
    }
}
