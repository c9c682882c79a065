//! What time it is: of this thread, of this process, on the wall, and of everybody else; and what
//! memory this process has needed.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Seconds that this thread has computed.
pub fn thread_cpu_s() -> f64 {
    seconds(ClockId::ThreadCPUTime)
}

/// Seconds that all threads of this process have computed.
pub fn process_cpu_s() -> f64 {
    seconds(ClockId::ProcessCPUTime)
}

/// Seconds on the wall.
pub fn wall_s() -> f64 {
    seconds(ClockId::Monotonic)
}

/// What it takes on the wall until another thread has seen a number and answered, in seconds: the time of a
/// cache line to the other core and back, where each thread has one.
pub fn round_trip_s() -> f64 {
    const ROUNDS: u32 = 20_000;
    let ball = AtomicU32::new(0);
    let wait_for = |number| {
        while ball.load(Ordering::Acquire) != number {
            std::hint::spin_loop();
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..ROUNDS {
                wait_for(2 * round + 1);
                ball.store(2 * round + 2, Ordering::Release);
            }
        });
        let began_s = wall_s();
        for round in 0..ROUNDS {
            ball.store(2 * round + 1, Ordering::Release);
            wait_for(2 * round + 2);
        }
        (wall_s() - began_s) / f64::from(ROUNDS)
    })
}

fn seconds(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// The most memory of this process that was ever resident, in megabytes; `None` where the system
/// does not tell.
pub fn peak_megabytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix(" kB"))?;
    Some(peak.trim().parse::<f64>().ok()? / 1024.0)
}

/// Processors that others, this process aside, kept busy for the next half second; `None` where
/// the system does not tell.
#[expect(clippy::disallowed_methods, reason = "to see others work, one has to wait")]
pub fn busy_others() -> Option<f64> {
    let (busy, own, begun_s) = (busy_s()?, process_cpu_s(), wall_s());
    std::thread::sleep(Duration::from_millis(500));
    let others_s = (busy_s()? - busy) - (process_cpu_s() - own);
    Some((others_s / (wall_s() - begun_s)).max(0.0))
}

/// Seconds that all processors were busy or taken away by the hypervisor, since the system began.
fn busy_s() -> Option<f64> {
    /// user, nice, system, idle, iowait, irq, softirq, steal: all but the two idle ones.
    const BUSY: [usize; 6] = [0, 1, 2, 5, 6, 7];
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let fields: Vec<f64> =
        stat.lines().next()?.split_whitespace().skip(1).flat_map(str::parse).collect();
    // Linux counts in hundredths, whatever the kernel's own tick is.
    Some(BUSY.iter().filter_map(|&field| fields.get(field)).sum::<f64>() / 100.0)
}
