//! Which endpoint a request is for: the routes of all methods, frozen into one flat table.
//!
//! The rules are those of gin 1.12, its surprises included, as clients see them in every 404, 405 and redirect
//! (specification 2.4). A walk takes as many steps as the path has branches, whatever the number of routes.

mod build;
mod fixed_path;
mod redirect;
mod trie;

use std::borrow::Cow;

use crate::message::route_params::RouteParams as Params;

pub use build::{Conflict, RoutesBuilder, param_names};
pub use redirect::{Location, Redirect, RedirectRule, clean_path, location};

use trie::{Skipped, Trie};

/// The router's options, as the service's configuration has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteOptions {
    pub redirect_trailing_slash: bool,
    pub redirect_fixed_path: bool,
    pub handle_method_not_allowed: bool,
    pub remove_extra_slash: bool,
}

impl Default for RouteOptions {
    fn default() -> Self {
        Self {
            redirect_trailing_slash: true,
            redirect_fixed_path: true,
            handle_method_not_allowed: true,
            remove_extra_slash: false,
        }
    }
}

/// What became of a request's method and path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The `id` under which the route was added.
    Endpoint(u32),
    Redirect(Redirect),
    /// The methods that have the path, in the order in which each method was first added.
    MethodNotAllowed {
        allow: String,
    },
    NotFound,
}

/// All routes, ready to be searched by any thread.
#[derive(Debug)]
pub struct Routes {
    options: RouteOptions,
    methods: Box<[MethodTree]>,
    trie: Trie,
}

#[derive(Debug)]
struct MethodTree {
    method: Box<str>,
    root: u32,
}

// === impl Routes ===

impl Routes {
    /// Finds the route of a decoded path and puts its parameters into `params`.
    pub fn find(&self, method: &[u8], path: &[u8], params: &mut Params) -> Found {
        params.ranges.clear();
        params.cleaned = None;
        if self.options.remove_extra_slash {
            let cleaned = clean_path(path);
            let found = self.find_cleaned(method, path, &cleaned, params);
            if let Cow::Owned(cleaned) = cleaned {
                params.cleaned = Some(cleaned.into());
            }
            return found;
        }
        self.find_cleaned(method, path, path, params)
    }

    /// Redirects start from the path as it came, while `cleaned` is what is searched.
    fn find_cleaned(
        &self,
        method: &[u8],
        path: &[u8],
        cleaned: &[u8],
        params: &mut Params,
    ) -> Found {
        let mut skipped = Skipped::new();
        if let Some(tree) = self.methods.iter().find(|tree| tree.method.as_bytes() == method) {
            let hit = self.trie.walk(tree.root, cleaned, Some(&mut params.ranges), &mut skipped);
            if let Some(id) = hit.endpoint {
                return Found::Endpoint(id);
            }
            if method != b"CONNECT" && cleaned != b"/" {
                if hit.other_slash && self.options.redirect_trailing_slash {
                    return Found::Redirect(Redirect::to_other_slash(method, path));
                }
                if self.options.redirect_fixed_path
                    && let Some(fixed) = self.trie.fix_path(tree.root, &clean_path(path))
                {
                    return Found::Redirect(Redirect::to_fixed_path(method, fixed));
                }
            }
        }
        self.find_other_methods(method, cleaned, &mut skipped)
    }

    /// 405 where another method has the path. Places that the search of one method left for later are tried within the
    /// next one's, too, as in gin; this can allow a method that has no such route.
    #[cold]
    fn find_other_methods(&self, method: &[u8], path: &[u8], skipped: &mut Skipped) -> Found {
        if !self.options.handle_method_not_allowed {
            return Found::NotFound;
        }
        let mut allow = String::new();
        for tree in self.methods.iter().filter(|tree| tree.method.as_bytes() != method) {
            if self.trie.walk(tree.root, path, None, skipped).endpoint.is_some() {
                if !allow.is_empty() {
                    allow.push_str(", ");
                }
                allow.push_str(&tree.method);
            }
        }
        if allow.is_empty() { Found::NotFound } else { Found::MethodNotAllowed { allow } }
    }
}

#[cfg(test)]
mod tests;
