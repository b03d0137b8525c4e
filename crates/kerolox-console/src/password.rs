//! Secrets: making them, keeping them as hashes, comparing them.

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};

/// Longest password that is looked at, bytes.
pub(crate) const PASSWORD_SIZE_MAX: usize = 256;
/// Shortest password that somebody may choose, characters.
pub(crate) const PASSWORD_CHARS_MIN: usize = 8;
/// Letters of generated passwords: those that are not mistaken for one another.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Length of a generated password: 100 bits.
const GENERATED_CHARS: usize = 20;
/// Bytes of a session's secret.
const TOKEN_SIZE: usize = 32;

/// The system gave no random bytes, or a hash could not be made.
#[derive(Debug, thiserror::Error)]
#[error("no secret could be made: {0}")]
pub(crate) struct SecretError(String);

fn random<const N: usize>() -> Result<[u8; N], SecretError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|why| SecretError(why.to_string()))?;
    Ok(bytes)
}

/// A password to be printed once.
pub(crate) fn generate() -> Result<String, SecretError> {
    let bytes = random::<GENERATED_CHARS>()?;
    // 32 letters, so that every letter is as likely as any other.
    Ok(bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect())
}

/// A secret for a cookie or a header, in hex.
pub(crate) fn token() -> Result<String, SecretError> {
    Ok(random::<TOKEN_SIZE>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Fewer blocks and more passes than the crate's default, a pair that OWASP counts as equally strong: a first start hashes
/// a password, and the allocator keeps what that took.
fn hasher() -> Result<Argon2<'static>, SecretError> {
    let params = Params::new(7 * 1024, 5, 1, None).map_err(|why| SecretError(why.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// The argon2id hash of a password, with its parameters. Takes some 7 MB and tens of milliseconds.
pub(crate) fn hash(password: &str) -> Result<String, SecretError> {
    let wrong = |why: argon2::password_hash::Error| SecretError(why.to_string());
    let salt = SaltString::encode_b64(&random::<16>()?).map_err(wrong)?;
    Ok(hasher()?.hash_password(password.as_bytes(), &salt).map_err(wrong)?.to_string())
}

/// Whether `text` is a hash that [`verify`] understands.
pub(crate) fn is_hash(text: &str) -> bool {
    PasswordHash::new(text).is_ok_and(|hash| hash.algorithm.as_str().starts_with("argon2") && hash.hash.is_some())
}

/// Whether the password is the one of that hash. Takes as long as [`hash`].
pub(crate) fn verify(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

/// Whether two secrets are the same, in a time that does not tell where they differ.
pub(crate) fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_knows_its_password_and_no_other() {
        let made = hash("open sesame").unwrap();
        assert!(is_hash(&made) && made.starts_with("$argon2id$"), "{made}");
        assert!(verify("open sesame", &made) && !verify("open sesam", &made) && !verify("", &made));
        assert!(!is_hash("open sesame") && !verify("open sesame", "open sesame"));
    }

    #[test]
    fn secrets_are_long_and_differ() {
        let (a, b) = (generate().unwrap(), generate().unwrap());
        assert!(a != b && a.len() == GENERATED_CHARS && a.bytes().all(|c| LETTERS.contains(&c)));
        let (a, b) = (token().unwrap(), token().unwrap());
        assert!(a != b && a.len() == 2 * TOKEN_SIZE);
        assert!(same(&a, &a.clone()) && !same(&a, &b) && !same(&a, "") && same("", ""));
    }
}
