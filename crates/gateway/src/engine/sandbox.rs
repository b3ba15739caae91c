//! What the worker gives up before it looks at a model file: the network, all files but the
//! model's, other processes, new privileges, and memory beyond a limit.
//!
//! Three walls, each of which holds where another has a gap: Landlock for files, the network and
//! signals, a list of the system calls that are left (seccomp), and resource limits. What the
//! kernel lacks is told, and the worker goes on without it.

use std::io;
use std::path::PathBuf;

use rustix::process::{Resource, Rlimit, Signal, setrlimit};

/// What the worker keeps.
#[derive(Debug)]
pub(super) struct Keeps {
    /// Files that it may read.
    pub(super) files: Vec<PathBuf>,
    /// Memory that it may take; nothing is said of the pages of its own program.
    pub(super) memory_bytes: u64,
}

/// Gives up everything else, for this thread and all that it starts: to be called before there
/// are others. Gives back what the system can't keep it from, in words that follow "the kernel
/// can't keep the engine from".
///
/// # Errors
/// When a limit that every kernel has can't be set.
pub(super) fn enter(keeps: &Keeps) -> io::Result<Vec<String>> {
    // The socket's end tells the same, but only to who reads it.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // No other process of this user may look into this one, and no core file is written: both
    // would show prompts.
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    rustix::thread::set_no_new_privs(true)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Data, keeps.memory_bytes)?;
    let mut lacking = Vec::new();
    lacking.extend(walls::landlock(&keeps.files));
    lacking.extend(walls::seccomp());
    Ok(lacking)
}

fn limit(resource: Resource, most: u64) -> io::Result<()> {
    let limit = Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    Ok(setrlimit(resource, limit)?)
}

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod walls {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use landlock::{
        ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, PathBeneath, PathFd,
        Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope,
    };
    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
        SeccompRule, apply_filter,
    };

    /// The newest of Landlock that this asks for: with it come files, devices, TCP, signals and
    /// abstract sockets.
    const LANDLOCK: ABI = ABI::V6;

    pub(super) fn landlock(files: &[PathBuf]) -> Option<String> {
        match restrict(files) {
            Ok(RulesetStatus::FullyEnforced) => None,
            Ok(RulesetStatus::PartiallyEnforced) => Some(
                "some accesses to files, the network or other processes (its Landlock is old; \
                 the list of system calls stands)"
                    .to_owned(),
            ),
            Ok(RulesetStatus::NotEnforced) => {
                Some("reading and writing files (it has no Landlock)".to_owned())
            }
            Err(error) => Some(format!("reading and writing files (Landlock: {error})")),
        }
    }

    fn restrict(files: &[PathBuf]) -> Result<RulesetStatus, RulesetError> {
        let mut rules = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(LANDLOCK))?
            .handle_access(AccessNet::from_all(LANDLOCK))?
            .scope(Scope::from_all(LANDLOCK))?
            .create()?;
        for file in files {
            // A file that isn't there is missed when it is opened.
            if let Ok(opened) = PathFd::new(file) {
                rules = rules.add_rule(PathBeneath::new(opened, AccessFs::ReadFile))?;
            }
        }
        Ok(rules.restrict_self()?.ruleset)
    }

    pub(super) fn seccomp() -> Option<String> {
        let failed = |error: &dyn std::fmt::Display| {
            Some(format!(
                "calling what it likes of the kernel (seccomp: {error})"
            ))
        };
        let filters = match filters() {
            Ok(filters) => filters,
            Err(error) => return failed(&error),
        };
        for filter in &filters {
            if let Err(error) = apply_filter(filter) {
                return failed(&error);
            }
        }
        None
    }

    /// In the order in which they are applied.
    fn filters() -> Result<[BpfProgram; 2], seccompiler::BackendError> {
        let arch = std::env::consts::ARCH.try_into()?;
        let errno = |number: i32| SeccompAction::Errno(number.cast_unsigned());
        // Its flags lie in memory, where no filter can look; who is told that it doesn't exist
        // takes `clone` instead.
        let clone3 = SeccompFilter::new(
            BTreeMap::from([(libc::SYS_clone3, Vec::new())]),
            SeccompAction::Allow,
            errno(libc::ENOSYS),
            arch,
        )?;
        let mut left: BTreeMap<i64, Vec<SeccompRule>> = LEFT
            .iter()
            .chain(LEFT_OF_OLD)
            .map(|call| (*call, Vec::new()))
            .collect();
        let thread = u64::from(libc::CLONE_THREAD.cast_unsigned());
        let (qword, masked) = (SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(thread));
        let starts_thread = SeccompCondition::new(0, qword, masked, thread)?;
        left.insert(
            libc::SYS_clone,
            vec![SeccompRule::new(vec![starts_thread])?],
        );
        let rest = SeccompFilter::new(left, errno(libc::EPERM), SeccompAction::Allow, arch)?;
        Ok([clone3.try_into()?, rest.try_into()?])
    }

    /// What computing, threads, memory, an open socket and reading files take. Nothing here makes
    /// a socket, a process or a program.
    const LEFT: &[i64] = &[
        // memory
        libc::SYS_brk,
        libc::SYS_mmap,
        libc::SYS_mprotect,
        libc::SYS_mremap,
        libc::SYS_munmap,
        libc::SYS_madvise,
        libc::SYS_membarrier,
        // threads and time
        libc::SYS_clone3,
        libc::SYS_futex,
        libc::SYS_set_robust_list,
        libc::SYS_get_robust_list,
        libc::SYS_rseq,
        libc::SYS_set_tid_address,
        libc::SYS_sched_yield,
        libc::SYS_sched_getaffinity,
        libc::SYS_gettid,
        // what libraries take to succeed always
        libc::SYS_getpid,
        libc::SYS_getppid,
        libc::SYS_getuid,
        libc::SYS_geteuid,
        libc::SYS_getgid,
        libc::SYS_getegid,
        libc::SYS_clock_gettime,
        libc::SYS_clock_getres,
        libc::SYS_clock_nanosleep,
        libc::SYS_nanosleep,
        libc::SYS_gettimeofday,
        libc::SYS_prctl,
        libc::SYS_prlimit64,
        libc::SYS_getrlimit,
        libc::SYS_getrandom,
        libc::SYS_uname,
        // signals, of which only those to itself pass Landlock
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sigaltstack,
        libc::SYS_restart_syscall,
        libc::SYS_tgkill,
        libc::SYS_exit,
        libc::SYS_exit_group,
        // files, which Landlock looks at, and the socket that is open
        libc::SYS_openat,
        libc::SYS_close,
        libc::SYS_read,
        libc::SYS_readv,
        libc::SYS_pread64,
        libc::SYS_write,
        libc::SYS_writev,
        libc::SYS_lseek,
        libc::SYS_fstat,
        libc::SYS_newfstatat,
        libc::SYS_statx,
        libc::SYS_readlinkat,
        libc::SYS_fcntl,
        libc::SYS_dup,
        libc::SYS_ppoll,
        libc::SYS_sendto,
        libc::SYS_recvfrom,
        libc::SYS_shutdown,
    ];

    /// What only x86-64 has of the same.
    #[cfg(target_arch = "x86_64")]
    const LEFT_OF_OLD: &[i64] = &[
        libc::SYS_arch_prctl,
        libc::SYS_open,
        libc::SYS_stat,
        libc::SYS_lstat,
        libc::SYS_readlink,
        libc::SYS_poll,
        libc::SYS_time,
    ];
    #[cfg(not(target_arch = "x86_64"))]
    const LEFT_OF_OLD: &[i64] = &[];
}

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
mod walls {
    use std::path::PathBuf;

    pub(super) fn landlock(_files: &[PathBuf]) -> Option<String> {
        Some("reading and writing files (only Linux has Landlock)".to_owned())
    }

    pub(super) fn seccomp() -> Option<String> {
        Some("calling what it likes of the kernel (only Linux has seccomp)".to_owned())
    }
}
