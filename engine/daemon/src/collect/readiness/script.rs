//! The script that asks, and what it answers: a line that names the question, then the answer's lines.

use std::fmt::Write as _;

use watchkeeper_core::model::Timestamp;

use crate::certificate;
use crate::net;
use crate::ssh::quote;

/// One question. It changes nothing on the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ask {
    /// What time it is, in seconds.
    Clock,
    /// Who listens.
    Ports,
    /// What memory is left.
    Memory,
    /// What room is left on the file system of a path.
    Disk(String),
    /// A certificate in a file.
    Certificate(String),
    /// Whether a program is there and may be run.
    Program(String),
    /// Whether `sudo` allows these words.
    Sudo(String),
    /// What systemd makes of a unit.
    Unit(String),
    /// What a command says that only looks: a status or a version.
    Run(String),
}

impl Ask {
    fn words(&self) -> (&'static str, &str) {
        match self {
            Self::Clock => ("clock", ""),
            Self::Ports => ("ports", ""),
            Self::Memory => ("memory", ""),
            Self::Disk(path) => ("disk", path),
            Self::Certificate(path) => ("certificate", path),
            Self::Program(program) => ("program", program),
            Self::Sudo(words) => ("sudo", words),
            Self::Unit(unit) => ("unit", unit),
            Self::Run(line) => ("run", line),
        }
    }
}

/// Arguments come in pairs: what is asked, and about what. A word after `sudo` is split at its blanks; it
/// holds nothing else that a shell would change. Each answer is bounded, and none begins with the two signs
/// that begin a question.
const SCRIPT: &str = r#"LC_ALL=C; export LC_ALL
n=0
while [ $# -ge 2 ]; do
  echo "== $n"; n=$((n+1))
  case $1 in
  clock) date +%s;;
  ports) for f in /proc/net/tcp /proc/net/tcp6; do
      [ ! -r $f ] || sed -n "s/^ *[0-9]*: \([0-9A-F]*:[0-9A-F]*\) [0-9A-F]*:[0-9A-F]* 0A .*/\1/p" $f
    done | head -n 500
    echo "at $SSH_CONNECTION"
    [ ! -r /proc/net/tcp ] || echo done;;
  memory) grep -E "^Mem(Total|Available):" /proc/meminfo 2>&1 | head -n 2;;
  disk) df -P -k -- "$2" 2>&1 | head -n 5 | tail -n 1;;
  certificate) sed -n "/^-----BEGIN CERTIFICATE-----/,/^-----END CERTIFICATE-----/p;/^-----END CERTIFICATE-----/q" "$2" 2>&1 | head -n 100;;
  program) case $2 in
    */*) [ -f "$2" ] && [ -x "$2" ];;
    *) command -v "$2" >/dev/null 2>&1;;
    esac && echo yes || echo no;;
  sudo) if o=$(sudo -n -l $2 2>&1 </dev/null); then echo yes; else echo "no $o" | head -n 1 | cut -c 1-200; fi;;
  unit) systemctl show -p LoadState -- "$2" 2>&1 | head -n 1 | cut -c 1-200;;
  run) o=$(/bin/sh -c "$2" 2>&1 </dev/null); echo "exit $?"; echo "said $o" | head -n 1 | cut -c 1-200;;
  *) echo "unknown";;
  esac
  shift 2
done
echo "== end""#;

/// The questions, each asked once.
#[derive(Debug, Default)]
pub(super) struct Script {
    asks: Vec<Ask>,
}

impl Script {
    /// Asks; gives the question's number.
    pub(super) fn ask(&mut self, ask: Ask) -> usize {
        let known = self.asks.iter().position(|it| *it == ask);
        known.unwrap_or_else(|| {
            self.asks.push(ask);
            self.asks.len() - 1
        })
    }

    #[cfg(test)]
    pub(super) fn asked(&self, number: usize) -> &Ask {
        &self.asks[number]
    }

    /// The command line.
    pub(super) fn line(&self) -> String {
        let mut line = format!("/bin/sh -c {} watchkeeper-readiness", quote(SCRIPT));
        for ask in &self.asks {
            let (what, about) = ask.words();
            let _ = write!(line, " {what} {}", quote(about));
        }
        line
    }

    /// The answers; none if not every question was answered, each at its place.
    pub(super) fn read<'a>(&self, said: &'a str) -> Option<Answers<'a>> {
        // The user's profile may have its own to say before.
        let (_, said) = said.split_once("== 0\n")?;
        let (said, _) = said.rsplit_once("== end")?;
        let mut answers = Vec::with_capacity(self.asks.len());
        let mut rest = said;
        for next in 1..self.asks.len() {
            let (answer, after) = rest.split_once(&format!("== {next}\n"))?;
            answers.push(answer);
            rest = after;
        }
        answers.push(rest);
        let strays = answers.iter().any(|it| it.lines().any(|line| line.starts_with("== ")));
        (!strays).then_some(Answers(answers))
    }
}

/// What the server answered, by the number of the question.
pub(super) struct Answers<'a>(Vec<&'a str>);

impl<'a> Answers<'a> {
    fn lines(&self, ask: usize) -> impl Iterator<Item = &'a str> {
        self.0.get(ask).copied().unwrap_or_default().lines()
    }

    fn line(&self, ask: usize) -> &'a str {
        self.lines(ask).next().unwrap_or_default()
    }

    fn odd(&self, ask: usize) -> String {
        match self.line(ask) {
            "" => "the server said nothing about it".to_owned(),
            said => format!("the server said {:?}", net::one_line(said)),
        }
    }

    /// Yes; or no, with what was said; or why it cannot be told.
    pub(super) fn yes(&self, ask: usize) -> Result<Result<(), String>, String> {
        match self.line(ask) {
            "yes" => Ok(Ok(())),
            line => match line.strip_prefix("no") {
                Some(said) if said.is_empty() || said.starts_with(' ') => {
                    Ok(Err(net::one_line(said)))
                }
                _ => Err(self.odd(ask)),
            },
        }
    }

    /// What systemd makes of a unit.
    pub(super) fn load_state(&self, ask: usize) -> Result<&'a str, String> {
        let state = self.line(ask).strip_prefix("LoadState=");
        let word = |state: &&str| {
            !state.is_empty() && state.chars().all(|c| c.is_ascii_lowercase() || c == '-')
        };
        state.filter(word).ok_or_else(|| self.odd(ask))
    }

    /// A command's exit code, and the first line of what it said.
    pub(super) fn exit(&self, ask: usize) -> Result<(u32, String), String> {
        let mut lines = self.lines(ask);
        let code = lines.next().and_then(|line| line.strip_prefix("exit ")?.parse().ok());
        let said = lines.next().and_then(|line| line.strip_prefix("said "));
        match code {
            Some(code) => Ok((code, net::one_line(said.unwrap_or_default()))),
            None => Err(self.odd(ask)),
        }
    }

    /// The bytes that are left on a file system: the number before the percentage, in the form that POSIX
    /// demands.
    pub(super) fn space(&self, ask: usize) -> Result<i64, String> {
        let words: Vec<&str> = self.line(ask).split_whitespace().collect();
        let left = words.windows(2).find_map(|pair| match pair {
            [available, percent] if percent.ends_with('%') => available.parse::<i64>().ok(),
            _ => None,
        });
        left.and_then(|left| left.checked_mul(1024)).ok_or_else(|| self.odd(ask))
    }

    /// The memory that is left, in bytes.
    pub(super) fn memory(&self, ask: usize) -> Result<i64, String> {
        let left = self.lines(ask).find_map(|line| {
            let number = line.strip_prefix("MemAvailable:")?.trim().strip_suffix(" kB")?;
            number.trim().parse::<i64>().ok()?.checked_mul(1024)
        });
        left.ok_or_else(|| self.odd(ask))
    }

    /// How far the server's clock is off, if it was asked between these two moments: 0 if it may be right.
    /// It says whole seconds.
    pub(super) fn clock(
        &self,
        ask: usize,
        begun: Timestamp,
        ended: Timestamp,
    ) -> Result<i64, String> {
        let second: i64 = self.line(ask).parse().map_err(|_| self.odd(ask))?;
        let (least, most) = (second.saturating_mul(1_000), second.saturating_mul(1_000) + 999);
        let (begun, ended) = (begun.0.cast_signed(), ended.0.cast_signed());
        let (low, high) = (least.saturating_sub(ended), most.saturating_sub(begun));
        Ok(if low > 0 { low } else { high.min(0) })
    }

    /// When the first certificate of a file ends, in seconds since 1970.
    pub(super) fn ends(&self, ask: usize) -> Result<i64, String> {
        use rustls::pki_types::CertificateDer;
        use rustls::pki_types::pem::PemObject as _;
        let text = self.0.get(ask).copied().unwrap_or_default();
        let ends = CertificateDer::from_pem_slice(text.as_bytes()).ok();
        ends.and_then(|it| certificate::ends(&it)).ok_or_else(|| match self.line(ask) {
            "" => "there is no certificate in it (it has to be PEM)".to_owned(),
            line if line.starts_with("-----") => "its certificate cannot be read".to_owned(),
            line => net::one_line(line),
        })
    }

    /// The ports that are listened on at every address, or at the one that this login came to.
    pub(super) fn listening(&self, ask: usize) -> Result<Vec<u16>, String> {
        let mut own = None;
        let mut whole = false;
        let mut found = Vec::new();
        for line in self.lines(ask) {
            if let Some(connection) = line.strip_prefix("at ") {
                own = connection.split_whitespace().nth(2).and_then(kernel_form);
            } else if line == "done" {
                whole = true;
            } else {
                let at = line.split_once(':').and_then(|(address, port)| {
                    Some((address, u16::from_str_radix(port, 16).ok()?))
                });
                found.extend(at);
            }
        }
        if !whole {
            return Err("who listens there cannot be read".to_owned());
        }
        let everywhere = |address: &str| address.bytes().all(|byte| byte == b'0');
        found.retain(|(address, _)| everywhere(address) || Some(*address) == own.as_deref());
        let mut ports: Vec<u16> = found.into_iter().map(|(_, port)| port).collect();
        ports.sort_unstable();
        ports.dedup();
        Ok(ports)
    }
}

/// An IPv4 address as /proc/net/tcp writes it on the machines that there are: the last byte first.
fn kernel_form(address: &str) -> Option<String> {
    let [a, b, c, d] = address.parse::<std::net::Ipv4Addr>().ok()?.octets();
    Some(format!("{d:02X}{c:02X}{b:02X}{a:02X}"))
}
