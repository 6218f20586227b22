//! `aws-chunked` bodies: what SDKs send when a checksum follows the content.
//!
//! ```text
//! HEX[;chunk-signature=…]\r\n CONTENT \r\n … 0[;chunk-signature=…]\r\n [trailer:value\r\n] \r\n
//! ```
//!
//! Form: \[D\]. Signatures are not checked, neither of chunks nor of trailers.

use std::collections::BTreeMap;

/// The content of a chunked body and its trailers by lower-case name; `None` when it is cut off or malformed.
pub(super) fn decode(body: &[u8]) -> Option<(Vec<u8>, BTreeMap<String, String>)> {
    let (mut content, mut rest) = (Vec::new(), body);
    loop {
        let (line, after) = line(rest)?;
        let size = line.split(';').next().unwrap_or(line).trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            return Some((content, trailers(after)?));
        }
        content.extend_from_slice(after.get(..size)?);
        rest = after.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

/// The text up to the end of the line, and what is behind it.
fn line(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let at = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    Some((std::str::from_utf8(&bytes[..at]).ok()?, &bytes[at + 2..]))
}

fn trailers(mut rest: &[u8]) -> Option<BTreeMap<String, String>> {
    let mut trailers = BTreeMap::new();
    // The empty line at the end is left out by some clients.
    while !rest.is_empty() {
        let (text, after) = line(rest)?;
        rest = after;
        if text.is_empty() {
            break;
        }
        let (name, value) = text.split_once(':')?;
        trailers.insert(name.trim().to_ascii_lowercase(), value.trim().to_string());
    }
    Some(trailers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signed_and_unsigned_chunks_with_trailers() {
        let body = b"5;chunk-signature=00\r\nhello\r\n6\r\n world\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n";
        let (content, trailers) = decode(body).expect("a body");
        assert_eq!(content, b"hello world");
        assert_eq!(trailers["x-amz-checksum-crc32"], "AAAA");
        let (content, trailers) = decode(b"0\r\n\r\n").expect("an empty body");
        assert!(content.is_empty() && trailers.is_empty());
    }

    #[test]
    fn what_is_cut_off_is_refused() {
        let body: &[u8] = b"5\r\nhello\r\n0\r\n\r\n";
        assert!(decode(body).is_some());
        for end in 0..body.len() - 4 {
            assert!(decode(&body[..end]).is_none(), "{end}");
        }
        assert!(decode(b"g\r\n\r\n").is_none());
    }
}
