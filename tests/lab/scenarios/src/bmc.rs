//! A server's management controller: `ipmi_sim` of `OpenIPMI`, which speaks IPMI over the lab's network and
//! switches the host's power.
//!
//! It runs on vp2, away from the host whose power it has. The power itself is the lab's: what the
//! controller wants stands in a file, and a thread here carries it out.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::monitor::{make_folder, write};
use crate::{Lab, wait_for};

/// Where the controllers are reached.
pub const ADDRESS: &str = "10.77.0.22";

/// The login of every controller.
pub const USER: &str = "watchkeeper";
/// Its password.
pub const PASSWORD: &str = "lab-bmc";

/// From one look at what the controller wants to the next.
const PAUSE: Duration = Duration::from_millis(20);

/// The controller of a host. It ends with the lab.
pub struct Bmc {
    stop: Arc<AtomicBool>,
    power: Option<JoinHandle<()>>,
    folder: PathBuf,
    /// Held by whoever changes the host's power.
    hand: Arc<Mutex<()>>,
}

impl Bmc {
    /// Starts the controller of `host` at a port of its own, with the host on.
    pub fn start(lab: &Lab, host: &'static str, port: u16) -> Self {
        let folder = lab.file(&format!("bmc-{host}"));
        make_folder(&folder);
        let seen = format!("/lab/bmc-{host}");
        write(&folder.join("power"), b"1");
        write(&folder.join("wanted"), b"1");
        write(&folder.join("lan.conf"), configuration(host, port, &seen).as_bytes());
        write(&folder.join("sim.emu"), EMULATION.as_bytes());
        write(&folder.join("control"), control(&seen).as_bytes());
        let line = format!(
            "chmod 755 {seen}/control; mkdir -p /var/tmp/bmc-{host}; \
             exec ipmi_sim -c {seen}/lan.conf -f {seen}/sim.emu -s /var/tmp/bmc-{host} -n >{seen}/log 2>&1"
        );
        lab.leave("vp2", &["sh", "-c", &line]);
        let stop = Arc::new(AtomicBool::new(false));
        let hand = Arc::new(Mutex::new(()));
        let power = Some(switch(lab, host, &folder, (&stop, &hand)));
        let bmc = Self { stop, power, folder, hand };
        wait_for(&format!("the controller of {host}"), || {
            let port = port.to_string();
            let options = ["-I", "lanplus", "-C", "3", "-H", ADDRESS, "-p", &port];
            let mut words = vec!["timeout", "2", "ipmitool"];
            words.extend(options);
            words.extend(["-U", USER, "-P", PASSWORD, "chassis", "power", "status"]);
            lab.try_exec("vp1", &words)
        });
        bmc
    }

    /// The host was switched on by hand.
    pub fn switched_on(&self) {
        write(&self.folder.join("wanted"), b"1");
        write(&self.folder.join("power"), b"1");
    }

    /// Switches the host on by `boot`, while the controller does nothing.
    pub(crate) fn while_held<T>(&self, boot: impl FnOnce() -> T) -> T {
        let hand = self.hand.lock().unwrap_or_else(PoisonError::into_inner);
        self.switched_on();
        let done = boot();
        drop(hand);
        done
    }

    /// From now on it refuses to switch the host's power, and goes on saying what is so; or no longer.
    pub(crate) fn fails(&self, fails: bool) {
        let mark = self.folder.join("fails");
        if fails {
            write(&mark, b"");
        } else {
            let _ = std::fs::remove_file(mark);
        }
    }

    /// Whether it has the host's power on.
    pub fn is_on(&self) -> bool {
        read(&self.folder.join("power")) == "1"
    }
}

impl Drop for Bmc {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(power) = self.power.take() {
            let _ = power.join();
        }
    }
}

fn read(path: &std::path::Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// Takes the host's power when the controller wants that.
fn switch(
    lab: &Lab,
    host: &'static str,
    folder: &std::path::Path,
    (stop, hand): (&Arc<AtomicBool>, &Arc<Mutex<()>>),
) -> JoinHandle<()> {
    let (stop, hand) = (Arc::clone(stop), Arc::clone(hand));
    let (folder, name) = (folder.to_owned(), lab.name().to_owned());
    std::thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            let hand = hand.lock().unwrap_or_else(PoisonError::into_inner);
            if read(&folder.join("wanted")) == "0" && read(&folder.join("power")) == "1" {
                // It may have lost its power otherwise; then there is nothing to take.
                if crate::lab::is_off(&name, host) || crate::lab::crash(&name, host) {
                    write(&folder.join("power"), b"0");
                }
            }
            drop(hand);
            std::thread::sleep(PAUSE);
        }
    })
}

/// One MC, one LAN channel, one user besides the anonymous one that has to be there.
fn configuration(host: &str, port: u16, seen: &str) -> String {
    let levels = ["callback", "user", "operator", "admin"];
    let allow = |level: &str| format!("    allowed_auths_{level} none md2 md5 straight\n");
    let auth = levels.map(allow).concat();
    format!(
        "name \"{host}\"\n\
         set_working_mc 0x20\n\
         \x20 startlan 1\n\
         \x20   addr {ADDRESS} {port}\n\
         \x20   priv_limit admin\n\
         {auth}\
         \x20   guid a123456789abcdefa123456789abcdef\n\
         \x20 endlan\n\
         \x20 chassis_control \"{seen}/control\"\n\
         \x20 user 1 true \"\" \"\" user 10 none md2 md5 straight\n\
         \x20 user 2 true \"{USER}\" \"{PASSWORD}\" admin 10 none md2 md5 straight\n"
    )
}

const EMULATION: &str = "\
mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
sel_enable 0x20 1000 0x0a
mc_enable 0x20
";

/// What `ipmi_sim` calls: `get PARAMETER...` or `set PARAMETER VALUE...`.
fn control(seen: &str) -> String {
    format!(
        "#!/bin/sh\n\
         op=$1; shift\n\
         case $op in\n\
         get) for it; do case $it in power) echo \"power:$(cat {seen}/power)\";; *) echo \"$it:0\";; esac; done;;\n\
         set) [ ! -e {seen}/fails ] || exit 1; while [ $# -gt 1 ]; do [ \"$1\" != power ] || echo \"$2\" >{seen}/wanted; shift 2; done;;\n\
         esac\n"
    )
}
