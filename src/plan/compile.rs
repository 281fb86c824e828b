//! From the configuration as written to the plan that the cores run. Nothing here touches the world; everything that
//! can be wrong with a plan is found here, all of it at once.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;

use super::backend::{BackendPlan, CacheOptions, HostPlan, Hosts, StatusRule};
use super::common::Common;
use super::endpoint::{EndpointPlan, ForwardedHeaders, Pipe, Propagated, Shadows};
use super::feature::{
    BackendDraft, EndpointDraft, Fallback, Feature, ServiceDraft, ServiceSlot, ServiceStageBuilder,
    Site, in_order, modifier_place,
};
use super::resilience::{GroupTable, NamedHosts, Resilience, RetryPlan};
use super::route::{Conflict, RoutesBuilder, param_names};
use super::router::RouterOptions;
use super::template::UrlTemplate;
use super::{ClientPlan, Feed, ListenPlan, Plan, RouteTarget, ServiceStages};
use crate::config::extra::ExtraConfig;
use crate::config::host::{Host, HostName as ConfigHostName, Scheme};
use crate::config::keys;
use crate::config::problem::{Place, Problem};
use crate::config::service::{Backend, Endpoint, Service};
use crate::json::render::Render;
use crate::json::{Decoder, Edit, EditSpec, Flatmap, JsonRules};
use crate::message::query::Allowed;
use crate::shared::hosts::HostGroup;
use crate::shared::readiness::Readiness;
use crate::stage::ids::{BackendId, EndpointId, HostId};
use crate::upstream::{HttpCache, Target};

/// The only methods that the original registers endpoints for.
const ENDPOINT_METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];
/// The methods of the debug and echo endpoints, in gin's order.
const ANY_METHODS: [&str; 9] =
    ["GET", "POST", "PUT", "PATCH", "HEAD", "OPTIONS", "DELETE", "CONNECT", "TRACE"];
/// Where readiness is told unless an endpoint is there.
const READY_PATH: &str = "/__ready";
/// The budget of merged calls, in percent of the endpoint's timeout.
const MERGE_BUDGET_PERCENT: u64 = 85;
/// The default limit of a request's head, and what the original's server adds to any limit.
const HEAD_BYTES_DEFAULT: usize = 1024 * 1024;
const HEAD_BYTES_SLACK: usize = 4096;
/// A client that takes nothing for so long is gone, where `write_timeout` says nothing.
const WRITE_STALL_MS: u64 = 60_000;

/// Go's defaults: how long one family of addresses is tried alone, and when a silent upstream is first probed.
const FALLBACK_MS: u64 = 300;
const PROBE_AFTER_MS: u64 = 15_000;

/// A plan, and what the log should say about how it came to be.
pub struct Compiled {
    pub plan: Plan,
    /// What was found and did not stop the start.
    pub warnings: Vec<Problem>,
}

/// Compiles a configuration.
///
/// # Errors
/// All problems that stop the start. With `is_lenient`, a block that cannot be understood stops nothing: it is left out
/// or its endpoint sealed, as the original does, and named among the warnings.
pub fn compile(
    service: &Service,
    features: &[&dyn Feature],
    is_lenient: bool,
) -> Result<Compiled, Vec<Problem>> {
    compile_after(service, features, is_lenient, None)
}

/// [`compile`] for a plan that takes the place of another one: limits, breakers, caches and revocations of unchanged
/// blocks go on.
///
/// # Errors
/// As [`compile`]; the plan before is not touched.
pub fn compile_after(
    service: &Service,
    features: &[&dyn Feature],
    is_lenient: bool,
    previous: Option<&Plan>,
) -> Result<Compiled, Vec<Problem>> {
    let mut compiler = Compiler {
        service,
        features,
        is_lenient,
        problems: Vec::new(),
        hosts: HostTable::default(),
        json_rules: JsonRules::default(),
        caches: SharedCaches::default(),
        resilience: Resilience::default(),
        groups: GroupTable::default(),
        has_retries: false,
        common: previous.map_or_else(Common::default, |plan| Common::after(&plan.common)),
    };
    let plan = compiler.plan();
    let problems = compiler.problems;
    if problems.iter().any(|problem| problem.is_fatal(is_lenient)) {
        return Err(problems);
    }
    Ok(Compiled { plan, warnings: problems })
}

struct Compiler<'s> {
    service: &'s Service,
    features: &'s [&'s dyn Feature],
    is_lenient: bool,
    problems: Vec<Problem>,
    hosts: HostTable,
    /// For backends that have none of their own.
    json_rules: JsonRules,
    caches: SharedCaches,
    /// For backends that say nothing themselves.
    resilience: Resilience,
    groups: GroupTable,
    has_retries: bool,
    common: Common,
}

/// Caches of several backends: one without bounds, and one with those of the first backend that has any.
#[derive(Default)]
struct SharedCaches {
    plain: Option<HttpCache>,
    bounded: Option<HttpCache>,
}

impl SharedCaches {
    fn cache(&mut self, options: CacheOptions, is_as_original: bool, common: &Common) -> HttpCache {
        let CacheOptions { shared, bounds } = options;
        let new = || HttpCache::new(bounds, is_as_original);
        if !shared {
            return new();
        }
        let slot = if bounds.is_some() { &mut self.bounded } else { &mut self.plain };
        let kept = || {
            let cache = common.kept_as(format!("shared http-cache {bounds:?}"), new);
            HttpCache::clone(&cache)
        };
        slot.get_or_insert_with(kept).with_rule(is_as_original)
    }
}

/// Our own blocks say how others behave; limits and quotas refer to connections, and these to quotas.
fn turn(namespace: &str) -> usize {
    const FIRST: [&str; 2] = ["redis", "governance/processors"];
    match FIRST.iter().position(|first| *first == namespace) {
        _ if namespace.starts_with("shoal/") => 0,
        Some(place) => 1 + place,
        None => 1 + FIRST.len(),
    }
}

#[derive(Default)]
struct HostTable {
    plans: Vec<HostPlan>,
    by_url: HashMap<String, HostId>,
    feeds: Vec<Feed>,
}

impl Compiler<'_> {
    fn plan(&mut self) -> Plan {
        let service = self.service;
        let mut draft = ServiceDraft {
            is_lenient: self.is_lenient,
            name: service.name.as_str().into(),
            common: self.common.clone(),
            ..ServiceDraft::default()
        };
        self.install(&service.extra_config, &mut Site::Service(&mut draft));
        self.problems.extend(draft.logging.warnings());
        let options = draft.router.take().unwrap_or_default();
        self.json_rules = JsonRules {
            depth_max: draft.limits.bounds().json_depth_max,
            refuses_trailing: draft.refuses_trailing_json,
        };
        self.resilience = std::mem::take(&mut draft.resilience);
        let endpoints: Vec<EndpointPlan> = service
            .endpoints
            .iter()
            .enumerate()
            .map(|(index, endpoint)| self.endpoint(EndpointId(u32_of(index)), endpoint, &draft))
            .collect();
        let (routes, targets) = self.routes(&options, draft.ready_path.as_deref());
        self.name_unbuilt_parts();
        let tls = super::tls::server(service, &mut self.problems);
        let client_tls = super::tls::client(service, &mut self.problems);
        let hosts = std::mem::take(&mut self.hosts);
        let groups = std::mem::take(&mut self.groups).finish(&self.common);
        Plan {
            routes,
            targets,
            endpoints,
            hosts: hosts.plans,
            feeds: hosts.feeds,
            router: options.compile(),
            stages: service_stages(draft.stages),
            watchers: draft.watchers,
            admin: draft.admin,
            listen: ListenPlan { lame_duck_ms: draft.lame_duck_ms, ..listen(service) },
            readiness: self.common.kept_as("readiness".to_owned(), Readiness::default),
            client: client(service),
            limits: draft.limits,
            logging: draft.logging,
            common: self.common.clone(),
            tls,
            client_tls,
            groups,
            has_retries: self.has_retries,
        }
    }

    /// Hands each block to its feature, those first that others build on. A namespace that nobody knows is somebody else's
    /// (the original ignores it).
    fn install(&mut self, extra: &ExtraConfig, site: &mut Site<'_>) {
        let scope = site.scope();
        let mut blocks: Vec<_> = extra.iter().collect();
        blocks.sort_by_key(|(namespace, _)| turn(namespace));
        for (namespace, block) in blocks {
            let Some(feature) =
                self.features.iter().find(|feature| feature.namespace() == namespace)
            else {
                let known: Vec<&str> =
                    self.features.iter().map(|feature| feature.namespace()).collect();
                self.problems.extend(keys::unknown(namespace, &known, block.place.clone()));
                continue;
            };
            if !feature.scopes().contains(&scope) {
                let what = format!("{namespace} has no effect at {}", scope.name());
                self.problems.push(Problem::warn(block.place.clone(), what));
                continue;
            }
            if let (Some(known), Some(members)) = (feature.members(scope), block.value.as_object())
            {
                for member in members.keys().filter(|member| !known.contains(&member.as_str())) {
                    self.problems.extend(keys::unknown(
                        member,
                        known,
                        block.place_at(&pointer(member)),
                    ));
                }
            }
            match feature.compile(block, site) {
                Ok(()) => {}
                Err(Fallback::Skip(problem) | Fallback::Refuse(problem)) => {
                    self.problems.push(problem);
                }
                Err(Fallback::Seal(status, problem)) => {
                    self.problems.push(problem);
                    match site {
                        Site::Service(_) => {}
                        Site::Endpoint(draft) => draft.sealed = Some(status),
                        Site::Backend(draft) => draft.sealed = Some(status),
                    }
                }
            }
        }
    }

    fn endpoint(
        &mut self,
        id: EndpointId,
        endpoint: &Endpoint,
        common: &ServiceDraft,
    ) -> EndpointPlan {
        let names = param_names(&endpoint.route);
        let mut draft = EndpointDraft {
            param_names: names.clone(),
            rate_limits: common.rate_limits,
            common: self.common.clone(),
            route: endpoint.route.as_str().into(),
            ..EndpointDraft::default()
        };
        for (slot, build) in &common.endpoint_stages {
            let build = build.clone();
            draft.stages.push((*slot, Box::new(move || build())));
        }
        self.install(&endpoint.extra_config, &mut Site::Endpoint(&mut draft));
        self.problems.append(&mut draft.problems);
        self.problems.extend(draft.unasked_claim_rules());
        let sole_encoding = match endpoint.backend.as_slice() {
            [only] => Some(only.encoding.as_str()),
            _ => None,
        };
        let render = Render::named(&endpoint.output_encoding, sole_encoding);
        let param_keys: Arc<[Box<str>]> =
            names.iter().map(|name| super::template::param_key(name).into()).collect();
        let mut regular = Vec::new();
        let mut shadows = Vec::new();
        let mut shadow_timeout_ms = 0;
        for backend in &endpoint.backend {
            let mut backend_draft = BackendDraft {
                common: self.common.clone(),
                param_keys: param_keys.clone(),
                pattern: backend.url_pattern.as_str().into(),
                ..BackendDraft::default()
            };
            self.install(&backend.extra_config, &mut Site::Backend(&mut backend_draft));
            self.problems.append(&mut backend_draft.problems);
            draft.sealed = draft.sealed.or(backend_draft.sealed);
            if backend_draft.is_shadow {
                let own_ms = backend_draft.shadow_timeout_ms.unwrap_or(endpoint.timeout.as_ms());
                shadow_timeout_ms = own_ms.max(shadow_timeout_ms);
                shadows.push(self.backend(endpoint, backend, backend_draft, render, &names));
            } else {
                regular.push(self.backend(endpoint, backend, backend_draft, render, &names));
            }
        }
        for (place, backend) in regular.iter_mut().chain(&mut shadows).enumerate() {
            backend.id = BackendId { endpoint: id, place: u32_of(place) };
        }
        if regular.is_empty() {
            // The original cannot build such a pipe: every request fails, and no shadow is cast.
            draft.sealed = draft.sealed.or(Some(500));
        }
        let shadows = (!shadows.is_empty()).then(|| {
            Box::new(Shadows {
                pipe: pipe(endpoint, &draft, shadows),
                timeout_ms: shadow_timeout_ms,
            })
        });
        EndpointPlan {
            route: endpoint.route.as_str().into(),
            method: endpoint.method.as_str().into(),
            timeout_ms: endpoint.timeout.as_ms(),
            headers: ForwardedHeaders::of(&endpoint.input_headers),
            query: Allowed::by_endpoint(&endpoint.input_query_strings),
            render,
            cache_control: (!endpoint.cache_ttl.is_zero()).then(|| {
                format!("Cache-Control: public, max-age={}\r\n", endpoint.cache_ttl.as_s()).into()
            }),
            pipe: pipe(endpoint, &draft, regular),
            static_data: draft.static_data,
            shadows,
            stages: in_order(draft.stages),
            pipe_stages: in_order(draft.pipe_stages),
            layers: draft.layers,
            sealed: draft.sealed,
        }
    }

    fn backend(
        &mut self,
        endpoint: &Endpoint,
        backend: &Backend,
        draft: BackendDraft,
        render: Render,
        names: &[String],
    ) -> BackendPlan {
        let is_raw = render == Render::NoOp || backend.encoding.eq_ignore_ascii_case("no-op");
        let cache = draft
            .cache
            .map(|options| self.caches.cache(options, draft.caches_as_original, &self.common));
        let headers = (!backend.input_headers.is_empty()).then(|| {
            backend.input_headers.iter().map(|name| name.to_ascii_lowercase().into()).collect()
        });
        let hosts = self.backend_hosts(backend);
        let (group, retry) = self.resilience_of(&hosts, draft.resilience);
        BackendPlan {
            id: BackendId { endpoint: EndpointId(0), place: 0 },
            method: backend.method.as_str().into(),
            method_title: title(&backend.method).into(),
            template: UrlTemplate::compile(&backend.url_pattern, names),
            hosts,
            minds_failures: group.is_some() || retry.is_some(),
            group,
            retry,
            decoder: Decoder::named(&backend.encoding, backend.is_collection),
            json_rules: JsonRules {
                refuses_trailing: draft
                    .refuses_trailing_json
                    .unwrap_or(self.json_rules.refuses_trailing),
                ..self.json_rules
            },
            edit: Edit::compile(&EditSpec {
                target: backend.target.clone(),
                allow: backend.allow.clone(),
                deny: backend.deny.clone(),
                mapping: backend.mapping.clone(),
                group: backend.group.clone(),
                flatmap: draft.flatmap,
            }),
            query: Allowed::by_endpoint(&endpoint.input_query_strings)
                .then_by_backend(&backend.input_query_strings),
            headers,
            statuses: draft.statuses.unwrap_or(StatusRule::Plain),
            concurrent: endpoint.concurrent_calls.max(1),
            resends_body: draft.resends_body,
            is_raw,
            modifier: modifier_place(&draft.stages),
            is_plain: draft.stages.is_empty() && cache.is_none(),
            reads_body: draft.stages.iter().any(|(slot, _)| slot.reads_body()),
            stages: in_order(draft.stages),
            layers: draft.layers,
            cache,
        }
    }

    /// What a backend does about hosts that fail.
    fn resilience_of(
        &mut self,
        hosts: &Hosts,
        own: Resilience,
    ) -> (Option<Arc<HostGroup>>, Option<Box<RetryPlan>>) {
        let (outliers, health, retry) = own.settle(&self.resilience);
        let (plans, feeds) = (&*self.hosts.plans, &*self.hosts.feeds);
        let hosts = NamedHosts { hosts, plans, feeds };
        let group = self.groups.group(&hosts, outliers, health, &self.common);
        self.has_retries |= retry.is_some();
        (group, retry.map(|rules| Box::new(hosts.retry(rules, &self.common))))
    }

    fn backend_hosts(&mut self, backend: &Backend) -> Hosts {
        if backend.sd != "dns" {
            return Hosts::Fixed(backend.host.iter().map(|host| self.hosts.id_of(host)).collect());
        }
        let service = backend.host.first().map(|host| host.url.clone()).unwrap_or_default();
        let feed = Feed { service, scheme: backend.sd_scheme.clone() };
        let known = self.hosts.feeds.iter().position(|known| *known == feed);
        Hosts::Discovered(known.unwrap_or_else(|| {
            self.hosts.feeds.push(feed);
            self.hosts.feeds.len() - 1
        }))
    }

    /// Parts of the configuration outside `extra_config` that this gateway does not serve yet.
    fn name_unbuilt_parts(&mut self) {
        let service = self.service;
        let place = |key: &str| service.place.key(key);
        let parts = [
            (service.plugin.is_some(), "plugin", "Go plugins cannot be loaded"),
            (
                !service.async_agents.is_empty(),
                "async_agent",
                "event-driven agents are not built yet",
            ),
            (service.server.use_h2c, "use_h2c", "HTTP/2 is not built yet"),
        ];
        for (_, key, what) in parts.into_iter().filter(|(is_used, ..)| *is_used) {
            self.problems
                .push(Problem::lenient(place(key), what).hint("--lenient starts without it"));
        }
    }

    /// All routes in the order in which the original registers them: it decides the order of `Allow`.
    fn routes(
        &mut self,
        options: &RouterOptions,
        ready_path: Option<&str>,
    ) -> (super::route::Routes, Vec<RouteTarget>) {
        let mut table = RouteTable {
            builder: RoutesBuilder::new(options.route_options()),
            targets: Vec::new(),
        };
        let service = self.service;
        if let Some(route) = options.health_route()
            && let Err(conflict) = table.add("GET", route, RouteTarget::Health)
        {
            let place = service
                .extra_config
                .get("router")
                .map_or_else(|| service.place.clone(), |block| block.place_at("/health_path"));
            self.problems.push(conflicting(place, &conflict));
        }
        let built_in = [
            ("/__debug/*param", service.debug_endpoint, RouteTarget::Debug),
            ("/__echo/*param", service.echo_endpoint, RouteTarget::Echo),
        ];
        for (route, is_on, target) in built_in {
            for method in ANY_METHODS.iter().filter(|_| is_on) {
                if let Err(conflict) = table.add(method, route, target.clone()) {
                    self.problems.push(conflicting(service.place.clone(), &conflict));
                }
            }
        }
        let mut methods_of: Vec<(&str, Vec<&str>)> = Vec::new();
        for (index, endpoint) in service.endpoints.iter().enumerate() {
            let method = endpoint.method.as_str();
            if !ENDPOINT_METHODS.contains(&method) {
                self.problems.push(
                    Problem::lenient(
                        endpoint.place.clone(),
                        format!("[ENDPOINT: {}] Unsupported method {method}", endpoint.route),
                    )
                    .hint(format!("endpoints may use {}", ENDPOINT_METHODS.join(", "))),
                );
                continue;
            }
            if let Err(conflict) =
                table.add(method, &endpoint.route, RouteTarget::Endpoint(EndpointId(u32_of(index))))
            {
                self.problems.push(conflicting(endpoint.place.clone(), &conflict));
                continue;
            }
            match methods_of.iter_mut().find(|(route, _)| *route == endpoint.route) {
                Some((_, methods)) => methods.push(method),
                None => methods_of.push((&endpoint.route, vec![method])),
            }
        }
        for (route, mut methods) in methods_of.into_iter().filter(|_| options.auto_options) {
            methods.sort_unstable();
            if let Err(conflict) =
                table.add("OPTIONS", route, RouteTarget::Options(methods.join(", ").into()))
            {
                self.problems.push(conflicting(service.place.clone(), &conflict));
            }
        }
        let added = match ready_path {
            Some("") => Ok(()),
            path => table.add("GET", path.unwrap_or(READY_PATH), RouteTarget::Ready),
        };
        if let (Err(conflict), Some(_)) = (added, ready_path) {
            let block = service.extra_config.get("shoal/drain");
            let place = block.map_or_else(Place::default, |block| block.place_at("/ready_path"));
            self.problems.push(conflicting(place, &conflict));
        }
        (table.builder.build(), table.targets)
    }
}

fn service_stages(stages: Vec<(ServiceSlot, ServiceStageBuilder)>) -> ServiceStages {
    let (outside, inside) = stages.into_iter().partition(|(slot, _)| slot.is_outside_of_router());
    ServiceStages { outside_of_router: in_order(outside), inside_of_router: in_order(inside) }
}

struct RouteTable {
    builder: RoutesBuilder,
    targets: Vec<RouteTarget>,
}

fn conflicting(place: Place, conflict: &Conflict) -> Problem {
    let problem = Problem::refuse(place, conflict.to_string());
    Problem { hint: conflict.hint().map(str::to_owned), ..problem }
}

impl RouteTable {
    fn add(&mut self, method: &str, route: &str, target: RouteTarget) -> Result<(), Conflict> {
        self.builder.add(method, route, u32_of(self.targets.len()))?;
        self.targets.push(target);
        Ok(())
    }
}

impl HostTable {
    fn id_of(&mut self, host: &Host) -> HostId {
        if let Some(id) = self.by_url.get(&host.url) {
            return *id;
        }
        let id = HostId(u32_of(self.plans.len()));
        self.plans.push(host_plan(host));
        self.by_url.insert(host.url.clone(), id);
        id
    }
}

fn host_plan(host: &Host) -> HostPlan {
    let Some(address) = &host.address else {
        let scheme = host.url.split_once("://").map_or("", |(scheme, _)| scheme);
        return HostPlan {
            target: Err(scheme.into()),
            authority: "".into(),
            origin: host.url.as_str().into(),
            path_prefix: "".into(),
            authorization: None,
        };
    };
    let is_tls = address.scheme == Scheme::Https;
    let name = match &address.name {
        ConfigHostName::Ip(ip) => ip.to_string(),
        ConfigHostName::Dns(name) => name.clone(),
    };
    let scheme = if is_tls { "https" } else { "http" };
    HostPlan {
        target: Ok(Target::new(is_tls, &name, address.port)),
        authority: address.authority.as_str().into(),
        origin: format!("{scheme}://{}", address.authority).into(),
        path_prefix: address.path_prefix.as_str().into(),
        authorization: address
            .user_info
            .as_deref()
            .map(|user| format!("Basic {}", BASE64.encode(user)).into()),
    }
}

fn pipe(endpoint: &Endpoint, draft: &EndpointDraft, mut backends: Vec<BackendPlan>) -> Pipe {
    let budget_ms = endpoint.timeout.as_ms() * MERGE_BUDGET_PERCENT / 100;
    match backends.len() {
        0 => Pipe::Unbuilt("all endpoints must have at least one backend".into()),
        1 => Pipe::Single(Box::new(backends.remove(0))),
        _ => {
            let flatmap = Flatmap::compile(&draft.flatmap);
            if draft.is_sequential {
                let propagated =
                    draft.propagated_params.iter().filter_map(|param| propagated(param)).collect();
                return Pipe::Sequential { calls: backends.into(), budget_ms, propagated, flatmap };
            }
            Pipe::Parallel { backends: backends.into(), budget_ms, flatmap }
        }
    }
}

/// `resp0_hash` is field `hash` of step 0; `resp0` its whole body.
fn propagated(param: &str) -> Option<Propagated> {
    let rest = param.strip_prefix("resp").or_else(|| param.strip_prefix("Resp"))?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let step = rest.get(..digits)?.parse().ok()?;
    let path = rest.get(digits..)?;
    let path = path.strip_prefix('_').unwrap_or(path);
    Some(Propagated { step, path: path.into(), key: super::template::param_key(param).into() })
}

fn title(method: &str) -> String {
    super::template::param_key(&method.to_ascii_lowercase())
}

fn listen(service: &Service) -> ListenPlan {
    let server = &service.server;
    let or = |first: u64, second: u64| if first == 0 { second } else { first };
    let read_ms = server.read_timeout.as_ms();
    ListenPlan {
        address: service.listen_ip,
        port: service.port,
        head_bytes_max: match server.max_header_bytes {
            0 => HEAD_BYTES_DEFAULT,
            bytes => bytes,
        } + HEAD_BYTES_SLACK,
        head_ms: or(server.read_header_timeout.as_ms(), read_ms),
        request_ms: read_ms,
        idle_ms: or(server.idle_timeout.as_ms(), read_ms),
        answer_ms: server.write_timeout.as_ms(),
        write_stall_ms: or(server.write_timeout.as_ms(), WRITE_STALL_MS),
        drain_ms: service.max_shutdown_wait_time.as_ms(),
        lame_duck_ms: 0,
    }
}

fn client(service: &Service) -> ClientPlan {
    let client = &service.client;
    let or = |given: u64, default: u64| if given == 0 { default } else { given };
    ClientPlan {
        connect_ms: client.dialer_timeout.as_ms(),
        fallback_ms: or(client.dialer_fallback_delay.as_ms(), FALLBACK_MS),
        probe_after_ms: or(client.dialer_keep_alive.as_ms(), PROBE_AFTER_MS),
        answer_head_ms: client.response_header_timeout.as_ms(),
        idle_max: client.max_idle_connections,
        idle_max_per_host: client.max_idle_connections_per_host,
        idle_ms: client.idle_connection_timeout.as_ms(),
        keep_alive: !client.disable_keep_alives,
        ask_for_gzip: !client.disable_compression,
        srv_refresh_ms: service.dns_cache_ttl.map_or(0, crate::config::values::Millis::as_ms),
    }
}

fn u32_of(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

fn pointer(member: &str) -> String {
    format!("/{}", member.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn propagated_parameters_name_a_step_and_a_field() {
        let field = propagated("resp0_d.name").unwrap();
        assert_eq!((field.step, &*field.path, &*field.key), (0, "d.name", "Resp0_d.name"));
        let whole = propagated("resp12").unwrap();
        assert_eq!((whole.step, &*whole.path), (12, ""));
        assert_eq!(propagated("other"), None);
    }
}
