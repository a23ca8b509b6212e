//! The few pages of the sign-in: static, without script, style or anything from elsewhere.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};

use super::random::Token;

const POLICY: &str =
    "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// A sign-in that was refused. The reason is in the audit log alone.
pub fn refused() -> Response {
    let text = "<p>You could not be signed in. <a href=\"/auth/sign-in\">Try again</a>, or ask an administrator: \
                the reason is in the audit log.</p>";
    page(StatusCode::FORBIDDEN, "Not signed in", text)
}

/// Too many of them.
pub fn too_many(seconds: u32) -> Response {
    let text = "<p>Too many sign-ins were refused to this address. Try again in a minute.</p>";
    let mut response = page(StatusCode::TOO_MANY_REQUESTS, "Not signed in", text);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// The provider cannot be asked.
pub fn unavailable() -> Response {
    let text = "<p>The sign-in is not available at the moment. <a href=\"/auth/sign-in\">Try again</a> in a while.</p>";
    let mut response = page(StatusCode::SERVICE_UNAVAILABLE, "Not signed in", text);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from(10));
    response
}

/// The question whether to become the first admin.
pub fn bootstrap(token: &Token) -> Response {
    let text = format!(
        "<p>This link makes you the administrator of this register, in this browser, once.</p>\
         <form method=\"post\" action=\"/auth/bootstrap\"><input type=\"hidden\" name=\"token\" value=\"{}\">\
         <button>Become administrator</button></form>",
        token.text()
    );
    page(StatusCode::OK, "First administrator", &text)
}

/// A link that is none (any more).
pub fn gone() -> Response {
    let text = "<p>This link was used, has expired, or never was one. Start the server again for another one.</p>";
    page(StatusCode::GONE, "The link does not work", text)
}

fn page(status: StatusCode, title: &str, text: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title} - Cadastre</title><h1>{title}</h1>{text}</html>"
    );
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        // Not no-referrer: browsers would then send the form without its origin.
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    (status, headers, html).into_response()
}
