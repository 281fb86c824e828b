//! Opens what the plan says of the log, and tells what could not be opened.

use std::ffi::OsString;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::plan::logging::{GelfPlan, LinesPlan, LoggingPlan, Look};
use crate::shared::log::{
    AccessFormat, Descriptor, Device, GelfFormat, GelfTcp, GelfUdp, Gin, Journal, LineFormat, Log,
    LogSettings, Logstash, LogstashRecord, Output, Pattern, Plain, SYSLOG_SOCKETS, Syslog,
    SyslogFormat, Transport, is_journal, program,
};

/// How long the start waits for a collector.
const GELF_WAIT: Duration = Duration::from_secs(1);

/// What the log says first.
#[derive(Default)]
pub struct FirstLines {
    errors: Vec<String>,
    is_improved: bool,
}

/// Of this process.
struct Surroundings {
    host: String,
    has_colours: bool,
    writes_to_journal: bool,
}

/// A collector, and whether it could be reached.
struct Graylog {
    device: Box<dyn Device>,
    transport: Transport,
    is_reached: bool,
}

impl FirstLines {
    pub fn write(&self, log: &Log) {
        for error in &self.errors {
            log.error(format_args!("{error}"));
        }
        if self.is_improved {
            log.debug(format_args!("[SERVICE: telemetry/logging] Improved logging started."));
        }
    }
}

impl Surroundings {
    fn look(stdout: &Descriptor) -> Self {
        let variable =
            |name: &str| std::env::var_os(name).filter(|text: &OsString| !text.is_empty());
        let journal = variable("JOURNAL_STREAM");
        let stdout = stdout.file();
        Self {
            host: host(),
            has_colours: variable("NO_COLOR").is_none(),
            writes_to_journal: stdout.is_some_and(|file| is_journal(file, journal.as_deref())),
        }
    }
}

/// The outputs that the plan asks for.
pub fn open(plan: &LoggingPlan, has_access: bool) -> (LogSettings, FirstLines) {
    let mut first = FirstLines::default();
    if let Some(why) = &plan.failure {
        first.errors.push(format!("[SERVICE: Logging] Unable to create the logger: {why}"));
    }
    if let Some(why) = &plan.gelf_failure {
        first.errors.push(gelf_failure(why));
    }
    let stdout = Descriptor::stdout();
    let here = Surroundings::look(&stdout);
    let graylog = plan.gelf.as_ref().map(|gelf| reach(gelf, &mut first));
    let lines = plan.lines.as_ref();
    first.is_improved = lines.is_some();
    let access = || -> Box<dyn AccessFormat> {
        match lines.and_then(|lines| lines.access.clone()) {
            Some(pattern) => Box::new(pattern),
            None => Box::new(Gin),
        }
    };
    // The original decides at its start where the access log goes; what comes later does not change it.
    let access_to_gelf = graylog.as_ref().is_some_and(|graylog| graylog.is_reached);
    let mut outputs = Vec::new();
    if let Some(graylog) = graylog {
        let access = (has_access && access_to_gelf).then(&access);
        outputs.push(graylog.output(lines, &here, access));
    }
    let (formatted, access) =
        (stdout_lines(plan, &here), (has_access && !access_to_gelf).then(access));
    outputs.push(stdout_output(stdout, &here, formatted, access));
    if let Some((facility, prefix)) = lines.and_then(|it| Some((it.to_syslog?, &it.prefix))) {
        let tag = if prefix.is_empty() { program() } else { prefix.clone() };
        outputs.push(Output {
            name: "syslog",
            lines: Some(Box::new(SyslogFormat::new(facility, &tag))),
            access: None,
            device: Box::new(Syslog::new(SYSLOG_SOCKETS)),
        });
    }
    outputs.retain(|output| output.lines.is_some() || output.access.is_some());
    let fields = lines.and_then(|lines| lines.access.as_ref());
    let settings = LogSettings {
        level: lines.map_or(LogSettings::plain(false).level, |lines| lines.level),
        outputs,
        access_fields: fields.map(|pattern| pattern.fields().to_vec()).unwrap_or_default(),
    };
    (settings, first)
}

/// How lines look on standard output; `None`: they are not shown there.
fn stdout_lines(plan: &LoggingPlan, here: &Surroundings) -> Option<Box<dyn LineFormat>> {
    let Some(lines) = &plan.lines else { return Some(Box::new(Plain { prefix: "KRAKEND" })) };
    if !lines.to_stdout {
        return None;
    }
    if plan.logstash.is_some() {
        return Some(Box::new(LogstashRecord::new(&here.host, &lines.prefix)));
    }
    let pattern = match &lines.look {
        Look::Logstash => return Some(Box::<Logstash>::default()),
        Look::Custom(pattern) => pattern.clone(),
        Look::Default => Pattern::usual().prefixed(&lines.prefix),
    };
    Some(Box::new(if here.has_colours { pattern } else { pattern.without_colours() }))
}

fn stdout_output(
    device: Descriptor,
    here: &Surroundings,
    lines: Option<Box<dyn LineFormat>>,
    access: Option<Box<dyn AccessFormat>>,
) -> Output {
    let (lines, access) = if here.writes_to_journal {
        (
            lines.map(|lines| Box::new(Journal::new(lines)) as Box<dyn LineFormat>),
            access.map(|access| Box::new(Journal::new(access)) as Box<dyn AccessFormat>),
        )
    } else {
        (lines, access)
    };
    Output { name: "stdout", lines, access, device: Box::new(device) }
}

/// Looks whether the collector is there. It may be slow, or its name server; the start is not.
fn reach(gelf: &GelfPlan, first: &mut FirstLines) -> Graylog {
    let transport = if gelf.over_tcp { Transport::Tcp } else { Transport::Udp };
    let (answer, opened) = mpsc::channel();
    let mut device = device(gelf);
    let spawned = thread::Builder::new().name("gelf".into()).spawn(move || {
        let result = device.open();
        // Nobody may wait any more.
        let _ = answer.send((device, result));
    });
    let opened = match spawned {
        Ok(_) => opened.recv_timeout(GELF_WAIT).map_err(|_| "no answer within a second".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    let failure = match opened {
        Ok((device, Ok(()))) => return Graylog { device, transport, is_reached: true },
        Ok((_, Err(error))) => error.to_string(),
        Err(why) => why,
    };
    first.errors.push(gelf_failure(&format!("{}: {failure}", gelf.address)));
    Graylog { device: self::device(gelf), transport, is_reached: false }
}

fn device(gelf: &GelfPlan) -> Box<dyn Device> {
    if gelf.over_tcp {
        Box::new(GelfTcp::new(&gelf.address))
    } else {
        Box::new(GelfUdp::new(&gelf.address))
    }
}

fn gelf_failure(why: &str) -> String {
    format!("[SERVICE: Logging][GELF] Unable to create the writer: {why}")
}

impl Graylog {
    fn output(
        self,
        lines: Option<&LinesPlan>,
        here: &Surroundings,
        access: Option<Box<dyn AccessFormat>>,
    ) -> Output {
        let format = |prefix: &str| GelfFormat::new(&here.host, prefix, self.transport);
        Output {
            name: "gelf",
            lines: lines.map(|lines| Box::new(format(&lines.prefix)) as Box<dyn LineFormat>),
            access: access
                .map(|access| Box::new(format("").with_access(access)) as Box<dyn AccessFormat>),
            device: self.device,
        }
    }
}

/// The name of this machine.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}
