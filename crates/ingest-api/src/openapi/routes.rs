//! A router that takes no route without its description.

use axum::{
    Router,
    handler::Handler,
    routing::{MethodFilter, on},
};

use super::Operation;
use crate::app::AppState;

/// Routes, each with its operation.
#[derive(Default)]
pub struct Routes {
    router: Router<AppState>,
    operations: Vec<Documented>,
}

/// An operation and where it is.
pub struct Documented {
    /// The method, as OpenAPI writes it.
    pub method: &'static str,
    /// The path with its parameters, such as `/api/ingest/sessions/{syncId}`.
    pub path: String,
    /// What it does.
    pub operation: Operation,
}

impl Routes {
    /// No routes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers GET (and HEAD) at a path.
    #[must_use]
    pub fn get<H, T>(self, path: &str, handler: H, operation: Operation) -> Self
    where
        H: Handler<T, AppState>,
        T: 'static,
    {
        self.on(MethodFilter::GET, "get", path, handler, operation)
    }

    /// Answers POST at a path.
    #[must_use]
    pub fn post<H, T>(self, path: &str, handler: H, operation: Operation) -> Self
    where
        H: Handler<T, AppState>,
        T: 'static,
    {
        self.on(MethodFilter::POST, "post", path, handler, operation)
    }

    /// Answers PUT at a path.
    #[must_use]
    pub fn put<H, T>(self, path: &str, handler: H, operation: Operation) -> Self
    where
        H: Handler<T, AppState>,
        T: 'static,
    {
        self.on(MethodFilter::PUT, "put", path, handler, operation)
    }

    /// Answers PATCH at a path.
    #[must_use]
    pub fn patch<H, T>(self, path: &str, handler: H, operation: Operation) -> Self
    where
        H: Handler<T, AppState>,
        T: 'static,
    {
        self.on(MethodFilter::PATCH, "patch", path, handler, operation)
    }

    /// Answers DELETE at a path.
    #[must_use]
    pub fn delete<H, T>(self, path: &str, handler: H, operation: Operation) -> Self
    where
        H: Handler<T, AppState>,
        T: 'static,
    {
        self.on(MethodFilter::DELETE, "delete", path, handler, operation)
    }

    fn on<H, T>(
        mut self,
        filter: MethodFilter,
        method: &'static str,
        path: &str,
        handler: H,
        operation: Operation,
    ) -> Self
    where
        H: Handler<T, AppState>,
        T: 'static,
    {
        self.router = self.router.route(path, on(filter, handler));
        self.operations.push(Documented {
            method,
            path: path.to_owned(),
            operation,
        });
        self
    }

    /// These routes and others.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.operations.extend(other.operations);
        self
    }

    /// The same routes with something around their handlers, such as a layer. Nothing is routed here.
    #[must_use]
    pub fn around(mut self, wrap: impl FnOnce(Router<AppState>) -> Router<AppState>) -> Self {
        self.router = wrap(self.router);
        self
    }

    /// What serves.
    pub fn into_router(self) -> Router<AppState> {
        self.router
    }

    /// What is described.
    pub fn into_operations(self) -> Vec<Documented> {
        self.operations
    }
}
