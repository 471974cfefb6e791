/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one table of command-line options: name, form of the argument, help, and the handler, or why
 * the option is accepted without an effect, or what to use instead of an option that is refused.
 * Dispatch (cmdline.c), -help and the reference manual (cmdline-help.c) come from it.
 *
 * Constant data.
 */
#include "cmdline.h"

#define OPT(NAME, ARG, HANDLER, HELP) \
    { .name = (NAME), .arg = (ARG), .handler = (HANDLER), .help = (HELP) }
#define NOOP(NAME, ARG, HELP, WHY) { .name = (NAME), .arg = (ARG), .help = (HELP), .noop = (WHY) }
#define REFUSE(NAME, INSTEAD) { .name = (NAME), .unsupported = (INSTEAD) }

const CmdlineOption cmdline_options[] = {
    /* ---- the machine ---- */
    OPT("machine", "[type=]NAME[,PROP=VALUE...]", cmdline_machine,
        "selects the board and sets its properties (-machine help lists them); may be repeated"),
    OPT("M", "[type=]NAME[,PROP=VALUE...]", cmdline_machine, "the same as -machine"),
    OPT("accel", "[accel=]NAME[,PROP=VALUE...]", cmdline_accel,
        "selects the accelerator (-accel help lists them); may be repeated, the first that works "
        "is taken"),
    OPT("enable-kvm", NULL, cmdline_enable_kvm, "the same as -accel kvm"),
    OPT("cpu", "MODEL[,FEATURE=on|off...]", cmdline_cpu,
        "selects the CPU model (-cpu help lists them)"),
    OPT("smp", "[cpus=]N[,maxcpus=N][,sockets=N][,dies=N][,cores=N][,threads=N]", cmdline_smp,
        "sets the number of vCPUs, 1 to 16"),
    OPT("m", "[size=]SIZE[,slots=N,maxmem=SIZE]", cmdline_memory,
        "sets the size of guest memory; a number without suffix counts MiB"),
    OPT("mem-path", "PATH", cmdline_mem_path,
        "takes guest memory from a file, or from files below a directory (hugetlbfs)"),
    OPT("mem-prealloc", NULL, cmdline_mem_prealloc, "touches all guest memory at the start"),
    OPT("object", "TYPE,id=ID[,PROP=VALUE...] or JSON", cmdline_object,
        "makes an object: memory-backend-ram, memory-backend-memfd, memory-backend-file, "
        "monitor-qmp, secret"),
    OPT("name", "[guest=]NAME[,process=NAME][,debug-threads=on|off]", cmdline_name,
        "names the guest; debug-threads=on names the host's threads"),
    OPT("uuid", "UUID", cmdline_uuid, "sets the UUID of the machine"),
    OPT("global", "DRIVER.PROP=VALUE", cmdline_global,
        "sets a default property; of the driver `migration`: the compatibility switches, "
        "capabilities (x-NAME) and parameters"),
    OPT("rtc", "[base=utc][,clock=host][,driftfix=none|slew]", cmdline_rtc,
        "the real-time clock follows the host's in UTC; other settings are refused"),
    OPT("no-acpi", NULL, cmdline_no_acpi, "the same as -machine acpi=off"),

    /* ---- what it boots ---- */
    OPT("kernel", "FILE", cmdline_kernel,
        "boots an ELF file with a PVH entry, or a Linux bzImage by its 64-bit entry"),
    OPT("append", "STRING", cmdline_append,
        "the kernel's command line, taken literally; a microvm with acpi=off adds where its virtio "
        "devices are, unless it has auto-kernel-cmdline=off"),
    OPT("initrd", "FILE", cmdline_initrd,
        "the initial ram disk: PVH's first module, or the bzImage's initrd"),
    OPT("bios", "FILE", cmdline_bios,
        "a raw image: 512 bytes with a boot signature run at 0x7c00 in real mode"),
    OPT("drive", "file=FILE[,format=raw][,if=ide|none][,id=ID][,readonly=on|off]", cmdline_drive,
        "a raw disk image; its first sector is booted when there is no -kernel. The image is read "
        "once: cache=, aio=, discard=, detect-zeroes=, werror=, rerror=, index=, bus= and unit= "
        "are accepted without an effect"),
    OPT("blockdev", "driver=file|raw,node-name=ID,filename=FILE or JSON", cmdline_blockdev,
        "a raw disk image, to be named by -device ide-hd,drive=ID"),
    OPT("device", "DRIVER[,PROP=VALUE...] or JSON", cmdline_device,
        "adds a device (-device help lists them)"),
    OPT("boot", "[order=]DRIVES[,once=..][,menu=off][,strict=on|off]", cmdline_boot,
        "accepted: there is one thing to boot, so that an order changes nothing; menu=on is "
        "refused"),

    /* ---- character devices and monitors ---- */
    OPT("chardev", "BACKEND,id=ID[,mux=on|off][,logfile=FILE][,...]", cmdline_chardev,
        "makes a character device: stdio, file, socket, pty, pipe, null (-chardev help)"),
    OPT("serial", "DEV", cmdline_serial,
        "connects the next serial port to DEV: stdio, file:PATH, unix:PATH[,server=on], "
        "tcp:HOST:PORT[,server=on], pty, pipe:PATH, null, none, chardev:ID, mon:DEV"),
    OPT("monitor", "DEV", cmdline_monitor, "opens a human monitor on DEV, see -serial"),
    OPT("qmp", "DEV", cmdline_qmp, "opens a QMP monitor on DEV, see -serial"),
    OPT("qmp-pretty", "DEV", cmdline_qmp_pretty, "the same as -qmp, with indented replies"),
    OPT("mon", "[chardev=]ID[,mode=readline|control][,pretty=on|off][,id=ID]", cmdline_mon,
        "opens a monitor on a -chardev"),
    OPT("nographic", NULL, cmdline_nographic,
        "puts serial port and monitor on the terminal (Ctrl-a h tells the keys)"),
    OPT("display", "none", cmdline_display, "there is no display; every other word is refused"),
    OPT("vga", "none", cmdline_must_be_none, "there is no display adapter"),
    OPT("parallel", "none", cmdline_parallel, "there is no parallel port"),
    OPT("netdev", "TYPE,id=ID[,PROP=VALUE...] or JSON", cmdline_netdev,
        "makes a network backend: tap, socket, stream, dgram (-netdev help); its card is "
        "-device virtio-net-device,netdev=ID"),
    OPT("net", "none", cmdline_must_be_none,
        "no network card but those of -device; other words are refused: use -netdev"),
    OPT("nic", "none", cmdline_must_be_none,
        "no network card but those of -device; other words are refused: use -netdev"),
    OPT("audiodev", "driver=none,id=ID or JSON", cmdline_audiodev,
        "accepted with the driver `none` only: there is no sound card"),
    OPT("audio", "[driver=]none", cmdline_audiodev, "accepted with `none` only"),

    /* ---- migration and run control ---- */
    OPT("incoming", "URI or defer", cmdline_incoming,
        "waits for an incoming migration: tcp:HOST:PORT, unix:PATH, fd:NUMBER, exec:COMMAND, "
        "file:PATH[,offset=SIZE], or `defer` until the monitor's migrate-incoming"),
    OPT("S", NULL, cmdline_paused, "does not start the guest until the monitor's `cont`"),
    OPT("no-shutdown", NULL, cmdline_no_shutdown, "stops instead of leaving on guest shutdown"),
    OPT("no-reboot", NULL, cmdline_no_reboot, "leaves instead of rebooting"),
    OPT("nodefaults", NULL, cmdline_nodefaults, "no serial port and monitor but those asked for"),
    OPT("add-fd", "fd=NUMBER,set=ID[,opaque=STRING]", cmdline_add_fd,
        "puts an inherited descriptor into a set, to be opened as /dev/fdset/ID"),
    OPT("overcommit", "[mem-lock=off][,cpu-pm=off]", cmdline_overcommit,
        "accepted with these values only, which are the defaults"),
    OPT("sandbox", "off", cmdline_sandbox, "accepted with `off` only"),

    /* ---- the process ---- */
    OPT("daemonize", NULL, cmdline_daemonize,
        "goes into the background when all sockets listen and the pid file is written"),
    OPT("pidfile", "FILE", cmdline_pidfile, "writes the process id to FILE, removed at the end"),
    OPT("run-with", "[exit-with-parent=on|off]", cmdline_run_with,
        "exit-with-parent=on: ends when the process that started this one ends"),
    OPT("msg", "[timestamp=on|off]", cmdline_msg,
        "how messages on stderr begin"),
    OPT("d", "trace:PATTERN[,...]", cmdline_log_items, "turns trace events on"),
    OPT("D", "FILE", cmdline_log_file, "writes log and trace output to FILE instead of stderr"),
    OPT("trace", "[enable=]PATTERN[,events=FILE][,file=FILE]", cmdline_trace,
        "turns trace events on (-trace help lists them)"),
    OPT("version", NULL, cmdline_version, "prints the version"),
    OPT("help", NULL, cmdline_help, "prints this list"),
    OPT("h", NULL, cmdline_help, "the same as -help"),
    OPT("help-rst", NULL, cmdline_help_rst, "prints the reference of the options for the manual"),

    NOOP("no-user-config", NULL, "reads no configuration of the user", "there is none to read"),
    NOOP("no-hpet", NULL, "has no HPET", "no board has one"),
    NOOP("no-fd-bootchk", NULL, "no floppy boot check", "there is no floppy drive"),
    NOOP("watchdog-action", "ACTION", "what the watchdog does", "there is no watchdog"),
    NOOP("L", "PATH", "directory of firmware", "no firmware is loaded"),

    REFUSE("qtest", "there is no qtest socket yet; use -qmp and xp/pmemsave"),
    REFUSE("qtest-log", "there is no qtest socket yet; use -trace and -D"),
    REFUSE("snapshot", "disk images are only read, never written"),
    REFUSE("hda", "use -drive file=...,format=raw"),
    REFUSE("cdrom", "use -drive file=...,format=raw"),
    REFUSE("fda", "use -drive file=...,format=raw"),
    REFUSE("vnc", "there is no display; use -display none"),
    REFUSE("spice", "there is no display; use -display none"),
    REFUSE("gdb", "there is no debugger stub; use the monitor's x and xp"),
    REFUSE("s", "there is no debugger stub; use the monitor's x and xp"),
    REFUSE("loadvm", "there are no snapshots; use -incoming file:PATH"),
    REFUSE("numa", "the machine has one memory node; use -object memory-backend-ram and "
           "-machine memory-backend=ID"),
    REFUSE("tpmdev", "there is no TPM"),
    REFUSE("chroot", "start it in a chroot with chroot(8)"),
    REFUSE("runas", "start it as that user with setpriv(1)"),
    REFUSE("icount", "the clock is the host's; use -accel sim for repeatable runs"),
    REFUSE("readconfig", "give the options on the command line"),
    REFUSE("smbios", "there is no SMBIOS table; use -uuid and -name"),
    REFUSE("fw_cfg", "only the board's own items are there; use -append or -device loader"),
    REFUSE("preconfig", "use -S"),
    REFUSE("singlestep", "there is no translating accelerator; use -accel kvm or -accel sim"),
    { .name = NULL },
};
