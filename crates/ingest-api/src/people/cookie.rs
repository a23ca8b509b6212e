//! Cookies: what they are called, how they are set, and what a request shows.

use axum::http::{HeaderMap, HeaderValue, header};

use super::random::Token;

/// A cookie of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cookie {
    /// That of a session.
    Session,
    /// That of a browser which is on its way to sign in.
    SignIn,
}

impl Cookie {
    /// Its name. `__Host-` makes browsers take it over https only, from this very host, for all paths.
    pub const fn name(self, is_secure: bool) -> &'static str {
        match (self, is_secure) {
            (Self::Session, true) => "__Host-cadastre",
            (Self::Session, false) => "cadastre",
            (Self::SignIn, true) => "__Host-cadastre-sign-in",
            (Self::SignIn, false) => "cadastre-sign-in",
        }
    }

    /// What a request shows; `None` also where it comes twice, for one of them is somebody else's.
    pub fn shown(self, headers: &HeaderMap, is_secure: bool) -> Option<Token> {
        let name = self.name(is_secure);
        let mut found = headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(key, _)| *key == name);
        let (_, value) = found.next()?;
        if found.next().is_some() {
            return None;
        }
        Token::read(value)
    }

    /// Sets it, for so many seconds where that is given, else until the browser closes.
    pub fn set(self, token: &Token, seconds: Option<u32>, is_secure: bool) -> HeaderValue {
        let age = seconds.map_or_else(String::new, |seconds| format!("; Max-Age={seconds}"));
        self.line(token.text(), &age, is_secure)
    }

    /// Takes it back.
    pub fn clear(self, is_secure: bool) -> HeaderValue {
        self.line("", "; Max-Age=0", is_secure)
    }

    fn line(self, value: &str, age: &str, is_secure: bool) -> HeaderValue {
        let secure = if is_secure { "; Secure" } else { "" };
        let name = self.name(is_secure);
        let line = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{age}");
        let mut value =
            HeaderValue::try_from(line).expect("names, base64url and numbers are good in a header");
        value.set_sensitive(true);
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::COOKIE, HeaderValue::from_str(line).expect("a line"));
        }
        headers
    }

    #[test]
    fn over_https_a_cookie_is_bound_to_the_host_and_kept_from_scripts() {
        let token = Token::random();
        let line = Cookie::Session.set(&token, None, true);
        let line = line.to_str().expect("a text");
        assert_eq!(
            line,
            format!(
                "__Host-cadastre={}; Path=/; HttpOnly; SameSite=Lax; Secure",
                token.text()
            )
        );
    }

    #[test]
    fn a_cookie_counts_under_its_own_name_and_once() {
        let token = Token::random();
        let own = format!("a=b; __Host-cadastre={}", token.text());
        let is_shown =
            |lines: &[&str], is_secure| Cookie::Session.shown(&headers(lines), is_secure).is_some();
        assert!(is_shown(&[&own], true));
        assert!(is_shown(&["x=y", &own], true));
        assert!(!is_shown(&[&own], false));
        assert!(!is_shown(&[&own, &own], true));
        assert!(!is_shown(&[&own.replace("__Host-", "")], true));
        assert!(!is_shown(&["__Host-cadastre=short"], true));
    }
}
