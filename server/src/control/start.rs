//! From a configuration to a process that serves: ports first, then the store, the threads, the
//! name servers; [`Running`] when all of that is done.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flume::{Receiver, Sender};
use ringmq_engine::engine::{Engine, ShardContext};
use ringmq_ring::mailbox::Mailboxes;
use ringmq_ring::probe;
use ringmq_ring::uring::{Uring, UringWaker};

use super::desk::Desk;
use super::http::{Facts, HttpServer, Source};
use super::kv_file;
use super::listen::listen;
use super::live::LiveSettings;
use super::name_servers::Finder;
use super::registration::{Identity, Registrar};
use super::store;
use super::supervisor::{Ended, Supervisor};
use super::threads::{BrokerPlan, HomePlan, ServicePlan, Threads};
use crate::config::{BrokerConfig, Config, HttpConfig, NameServerConfig, Values};
use crate::connection::Port;
use crate::error::StartError;
use crate::handlers::names::NameService;
use crate::limits::MAILBOX_SLOTS;
use crate::link;
use crate::metrics::{Metrics, Recorder};
use crate::namesrv::{KvConfig, NameServer};
use crate::service::ShardService;
use crate::shard::Settings;

/// How long the first registration is waited for before the boot lines are printed.
const FIRST_REGISTRATION: Duration = Duration::from_secs(5);
/// Clients that use the VIP channel connect this far below `listenPort`.
const VIP_DISTANCE: u16 = 2;

/// A process that serves. Dropping it stops it.
#[derive(Debug)]
pub struct Running {
    broker: Option<SocketAddr>,
    name_server: Option<SocketAddr>,
    metrics: Arc<Metrics>,
    http: Option<HttpServer>,
    stop: Sender<()>,
    ended: Receiver<Ended>,
    control: Option<JoinHandle<()>>,
}

/// Asks a process to stop, from any thread.
#[derive(Clone, Debug)]
pub struct StopHandle(Sender<()>);

impl StopHandle {
    /// Asks; [`Running::wait`] returns when it is done.
    pub fn stop(&self) {
        // It may have ended by itself.
        let _ = self.0.try_send(());
    }
}

impl Running {
    /// What clients connect to, if this is a broker.
    pub fn broker_address(&self) -> Option<SocketAddr> {
        self.broker
    }

    /// Where the name server listens, if this is one.
    pub fn name_server_address(&self) -> Option<SocketAddr> {
        self.name_server
    }

    /// Where metrics, health and the status page are served, if they are.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(HttpServer::address)
    }

    /// What it counts.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// For a thread that waits for signals.
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle(self.stop.clone())
    }

    /// Waits until it has ended.
    pub fn wait(mut self) -> Ended {
        self.join()
    }

    /// Stops it properly: in-flight requests are answered, everything is on the disk.
    pub fn stop(self) -> Ended {
        self.stop_handle().stop();
        self.wait()
    }

    fn join(&mut self) -> Ended {
        let ended = self.ended.recv().unwrap_or(Ended::Failed);
        if let Some(control) = self.control.take()
            && control.join().is_err()
        {
            return Ended::Failed;
        }
        ended
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.control.is_some() {
            self.stop_handle().stop();
            self.join();
        }
    }
}

/// Starts what the configuration says and returns when it serves and has been registered.
pub fn start(config: &Config) -> Result<Running, StartError> {
    probe::check()?;
    if let Some(broker) = &config.broker
        && let Some(choice) = &broker.address_choice
    {
        tracing::info!(brokerIP1 = %choice, "brokerIP1 is not set: this address is announced");
    }
    let ports = Ports::open(config)?;
    let source = Arc::new(Source::new(facts(config, &ports)));
    let http = serve_http(config.http()?, &source)?;
    let engine = match &config.broker {
        Some(broker) => Some(store::open(&broker.store)?),
        None => None,
    };
    let shards = engine.as_ref().map_or(1, Engine::shard_count);
    let metrics = Arc::new(Metrics::new(usize::from(shards)));
    source.count(&metrics);
    let mut supervisor = serve(config, &ports, engine, &metrics, source)?;
    if let Err(error) = supervisor.wait_ready() {
        supervisor.abandon();
        return Err(error);
    }
    if let (Some(broker), Some(broker_ports)) = (&config.broker, &ports.broker) {
        let registrar = registrar(broker, broker_ports, ports.name_server_address())?;
        let split = broker.register_split;
        supervisor.register(registrar, split, FIRST_REGISTRATION);
    }
    let (stop, stop_orders) = flume::bounded(1);
    let (tell_ended, ended) = flume::bounded(1);
    let control = thread::Builder::new()
        .name(super::panics::SUPERVISOR.to_owned())
        .spawn(move || supervisor.run(&stop_orders, &tell_ended))
        .map_err(StartError::Thread)?;
    Ok(Running {
        broker: ports.broker.as_ref().map(|ports| ports.advertised),
        name_server: ports.name_server_address(),
        metrics,
        http,
        stop,
        ended,
        control: Some(control),
    })
}

/// The endpoint of metrics and health. One that nobody has chosen is only missed.
fn serve_http(
    config: Option<HttpConfig>,
    source: &Arc<Source>,
) -> Result<Option<HttpServer>, StartError> {
    let Some(config) = config else {
        return Ok(None);
    };
    match HttpServer::start(&config, source) {
        Ok(server) => {
            tracing::info!(address = %server.address(), "metrics, health and the status page");
            Ok(Some(server))
        }
        Err(error) if config.is_chosen => Err(StartError::Http {
            address: config.address,
            source: error,
        }),
        Err(error) => {
            let address = config.address;
            tracing::warn!(%address, %error, "no metrics, health and status page: choose another metricsPromExporterPort");
            Ok(None)
        }
    }
}

/// What is known before anything runs.
fn facts(config: &Config, ports: &Ports) -> Facts {
    let rows_max = |values: &Values| values.number("ringmq.metricsRows");
    let names = ports
        .name_server_address()
        .map(|address| address.to_string());
    match (&config.broker, &ports.broker) {
        (Some(broker), Some(ports)) => Facts {
            cluster: broker.cluster.clone(),
            node: broker.name.clone(),
            address: ports.advertised.to_string(),
            is_broker: true,
            flush_mode: broker.flush_mode(),
            folder: Some(broker.store.folder.clone()),
            rows_max: rows_max(&broker.values),
        },
        _ => Facts {
            node: names.clone().unwrap_or_default(),
            address: names.unwrap_or_default(),
            ..Facts::default()
        },
    }
}

/// The sockets of this process, listening.
struct Ports {
    broker: Option<BrokerPorts>,
    name_server: Option<(TcpListener, SocketAddr)>,
}

struct BrokerPorts {
    listeners: Vec<TcpListener>,
    advertised: SocketAddr,
    ha_advertised: SocketAddr,
}

impl Ports {
    fn open(config: &Config) -> Result<Self, StartError> {
        let name_server = match &config.name_server {
            Some(config) => {
                let listener = listen(config.bind(), "--namesrv-port or listenPort")?;
                let address = listener.local_addr().map_err(StartError::Thread)?;
                Some((listener, address))
            }
            None => None,
        };
        let broker = match &config.broker {
            Some(config) => Some(BrokerPorts::open(config)?),
            None => None,
        };
        Ok(Self {
            broker,
            name_server,
        })
    }
}

impl Ports {
    fn name_server_address(&self) -> Option<SocketAddr> {
        self.name_server.as_ref().map(|(_, address)| *address)
    }
}

impl BrokerPorts {
    /// `listenPort` and the VIP port below it; only the first when any port will do.
    fn open(config: &BrokerConfig) -> Result<Self, StartError> {
        let bind = |port, setting| listen(SocketAddr::new(config.bind_address, port), setting);
        let main = bind(config.port, "--broker-port or listenPort")?;
        let port = main.local_addr().map_err(StartError::Thread)?.port();
        let mut listeners = vec![main];
        if config.port > VIP_DISTANCE {
            let setting =
                "--broker-port or listenPort (this one is two below, for the VIP channel)";
            listeners.push(bind(config.port - VIP_DISTANCE, setting)?);
        }
        Ok(Self {
            listeners,
            advertised: config.advertised(port),
            ha_advertised: config.ha_advertised(port),
        })
    }
}

/// Starts the threads: one for each shard of the store, one alone without a store.
fn serve(
    config: &Config,
    ports: &Ports,
    engine: Option<Engine>,
    metrics: &Arc<Metrics>,
    source: Arc<Source>,
) -> Result<Supervisor, StartError> {
    let (tell_failure, failures) = flume::unbounded();
    let (plans, links) = plans(config, ports, metrics, &tell_failure)?;
    let mut plans = plans.into_iter();
    let threads = match engine {
        Some(engine) => Threads::Engine(engine.start(|_| {
            let plan = plans.next();
            move |context| make_service(plan, context)
        })?),
        None => match plans.next() {
            Some(plan) => Threads::alone(plan)?,
            None => return Err(StartError::Lost),
        },
    };
    let kv_path = config.name_server.as_ref().and_then(|n| n.kv_path.clone());
    let store_host = ports.broker.as_ref().map(|ports| ports.advertised);
    let live = LiveSettings::new(config, store_host, wall_ms());
    let desk = Desk::new(live, Arc::clone(metrics), config.broker.as_ref());
    Ok(Supervisor::new(
        threads, links, failures, kv_path, desk, source,
    ))
}

/// There is a plan for every shard the engine says it has.
fn make_service(plan: Option<ServicePlan>, context: ShardContext<'_>) -> ShardService<Uring> {
    match plan {
        Some(plan) => plan.service(Some(context.shard)),
        None => unreachable!("the engine started more shards than it has"),
    }
}

type Plans = (Vec<ServicePlan>, Vec<link::ControlLink<UringWaker>>);

fn plans(
    config: &Config,
    ports: &Ports,
    metrics: &Arc<Metrics>,
    failures: &Sender<StartError>,
) -> Result<Plans, StartError> {
    let mut names = match &config.name_server {
        Some(config) => Some(name_service(config)?),
        None => None,
    };
    let count = metrics.shards().len();
    let seed = random_seed()?;
    let mut brokers = broker_plans(config, ports, count as u64, seed).into_iter();
    let mut listeners = listeners(ports).map_err(StartError::Thread)?;
    let (mut plans, mut links) = (Vec::new(), Vec::new());
    let mesh = Mailboxes::mesh(count, MAILBOX_SLOTS);
    for (index, mailboxes) in mesh.into_iter().enumerate() {
        let (link, control) = link::pair();
        links.push(control);
        plans.push(ServicePlan {
            mailboxes,
            link,
            listeners: std::mem::take(&mut listeners),
            names: names.take(),
            broker: brokers.next(),
            metrics: Recorder::new(Arc::clone(metrics), index, seed),
            doors: config.doors(),
            failures: failures.clone(),
        });
    }
    Ok((plans, links))
}

/// One for each shard, the home shard's first; none where there is no broker.
fn broker_plans(config: &Config, ports: &Ports, count: u64, seed: u64) -> Vec<BrokerPlan> {
    let (Some(config), Some(ports)) = (&config.broker, &ports.broker) else {
        return Vec::new();
    };
    let settings = Arc::new(Settings::new(config, ports.advertised));
    let plans = (0..count).map(|index| {
        let home = HomePlan {
            topics: config.system_topics(),
            auto_create_groups: config.auto_create_groups,
        };
        BrokerPlan {
            settings: Arc::clone(&settings),
            home: (index == 0).then_some(home),
            seed: seed.wrapping_add(index),
            wall_ms: wall_ms(),
        }
    });
    plans.collect()
}

fn listeners(ports: &Ports) -> io::Result<Vec<(TcpListener, Port)>> {
    let mut all = Vec::new();
    if let Some((listener, _)) = &ports.name_server {
        all.push((listener.try_clone()?, Port::NameServer));
    }
    for listener in ports.broker.iter().flat_map(|ports| &ports.listeners) {
        all.push((listener.try_clone()?, Port::Broker));
    }
    Ok(all)
}

fn name_service(config: &NameServerConfig) -> Result<NameService, StartError> {
    let kv = match &config.kv_path {
        Some(path) => kv_file::read(path)?,
        None => KvConfig::default(),
    };
    let server = NameServer::new(config.settings.clone(), kv);
    Ok(NameService::new(server))
}

/// Threads for all name servers, the one in this process too.
fn registrar(
    config: &BrokerConfig,
    ports: &BrokerPorts,
    own_name_server: Option<SocketAddr>,
) -> Result<Registrar, StartError> {
    let identity = Identity {
        cluster: config.cluster.clone(),
        name: config.name.clone(),
        id: config.id,
        address: ports.advertised,
        ha_address: ports.ha_advertised,
    };
    let own = own_name_server.map(|address| reachable(address).to_string());
    let mut registrar =
        Registrar::new(identity, config.register, own).map_err(StartError::Thread)?;
    match &config.name_server_source {
        Some((source, period)) => {
            let finder = Finder::start(source.clone(), *period).map_err(StartError::Thread)?;
            registrar.follow(finder);
        }
        None => registrar
            .set_servers(&config.name_servers)
            .map_err(StartError::Thread)?,
    }
    Ok(registrar)
}

/// An address to connect to for one that was listened on.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

fn random_seed() -> Result<u64, StartError> {
    getrandom::u64().map_err(|error| StartError::Thread(io::Error::other(error)))
}
