//! The checksums that clients send with an object and ask for with it.
//!
//! Names and headers: \[M\]. That an object sent without one is kept with CRC64NVME: \[K\].

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crc::{CRC_32_ISCSI, CRC_32_ISO_HDLC, CRC_64_NVME, Crc};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// What is kept of an object that came without a checksum.
pub(super) const UNASKED: Algorithm = Algorithm::Crc64Nvme;

/// A checksum that a client may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// CRC-32 as in zip files.
    Crc32,
    /// CRC-32C (Castagnoli).
    Crc32c,
    /// CRC-64 as in NVMe.
    Crc64Nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

/// Every checksum that is known here, in the order of AWS's model.
pub const ALGORITHMS: [Algorithm; 5] = [
    Algorithm::Crc32,
    Algorithm::Crc32c,
    Algorithm::Crc64Nvme,
    Algorithm::Sha1,
    Algorithm::Sha256,
];

impl Algorithm {
    /// The header that carries it, in lower case, for example `x-amz-checksum-crc32`.
    pub fn header(self) -> &'static str {
        match self {
            Algorithm::Crc32 => "x-amz-checksum-crc32",
            Algorithm::Crc32c => "x-amz-checksum-crc32c",
            Algorithm::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Algorithm::Sha1 => "x-amz-checksum-sha1",
            Algorithm::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// Its name in lists and refusals, for example `CRC32`.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Crc32 => "CRC32",
            Algorithm::Crc32c => "CRC32C",
            Algorithm::Crc64Nvme => "CRC64NVME",
            Algorithm::Sha1 => "SHA1",
            Algorithm::Sha256 => "SHA256",
        }
    }

    /// Base64 of the checksum of the bytes, big-endian.
    pub fn of(self, bytes: &[u8]) -> String {
        match self {
            Algorithm::Crc32 => STANDARD.encode(
                Crc::<u32>::new(&CRC_32_ISO_HDLC)
                    .checksum(bytes)
                    .to_be_bytes(),
            ),
            Algorithm::Crc32c => {
                STANDARD.encode(Crc::<u32>::new(&CRC_32_ISCSI).checksum(bytes).to_be_bytes())
            }
            Algorithm::Crc64Nvme => {
                STANDARD.encode(Crc::<u64>::new(&CRC_64_NVME).checksum(bytes).to_be_bytes())
            }
            Algorithm::Sha1 => STANDARD.encode(Sha1::digest(bytes)),
            Algorithm::Sha256 => STANDARD.encode(Sha256::digest(bytes)),
        }
    }
}

/// Lower-case hexadecimal MD5, which is the ETag of an object sent in one piece \[K\].
pub fn md5_hex(bytes: &[u8]) -> String {
    hex::encode(Md5::digest(bytes))
}

/// Base64 of the MD5, as in `Content-MD5`.
pub fn md5_base64(bytes: &[u8]) -> String {
    STANDARD.encode(Md5::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The catalogues' check value of each algorithm: what it makes of "123456789".
    #[test]
    fn check_values() {
        let hex_of = |algorithm: Algorithm| {
            hex::encode(STANDARD.decode(algorithm.of(b"123456789")).expect("base64"))
        };
        assert_eq!(hex_of(Algorithm::Crc32), "cbf43926");
        assert_eq!(hex_of(Algorithm::Crc32c), "e3069283");
        assert_eq!(hex_of(Algorithm::Crc64Nvme), "ae8b14860a799888");
        assert_eq!(
            hex_of(Algorithm::Sha1),
            "f7c3bc1d808e04732adf679965ccc34ca7ae3441"
        );
        assert_eq!(md5_hex(b"123456789"), "25f9e794323b453885f5181f1b624d0b");
    }
}
