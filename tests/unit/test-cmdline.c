/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whole command lines to MachineConfig: those that libvirt and QEMU's migration test suite give,
 * every option, defaults; and the exact text of what is refused.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "boards.h"
#include "cmdline.h"

/* Splits at single spaces, in front of which the program's name is put. */
static MachineConfig *try_parse(const char *line, int *exit_code, GError **errp)
{
    g_autofree char *whole = g_strconcat("godwit-system-x86_64 ", line, NULL);
    g_auto(GStrv) argv = g_strsplit(*line ? whole : "godwit-system-x86_64", " ", -1);

    return cmdline_parse((int)g_strv_length(argv), argv, exit_code, errp);
}

static MachineConfig *parse(const char *line)
{
    g_autoptr(GError) err = NULL;
    int exit_code = 0;
    MachineConfig *c = try_parse(line, &exit_code, &err);

    g_test_message("%s", line);
    g_assert_no_error(err);
    g_assert_cmpint(exit_code, ==, -1);
    return c;
}

/* ---- the real ones ---- */

static void test_libvirt_guest(void)
{
    g_autofree char *line = g_strdup_printf(
        "-name guest=mini,debug-threads=on -S "
        "-object {\"qom-type\":\"secret\",\"id\":\"masterKey0\",\"format\":\"raw\","
        "\"file\":\"/k\"} "
        "-machine microvm,usb=off,dump-guest-core=off,memory-backend=microvm.ram -accel kvm "
        "-cpu qemu64,pni=off,x2apic=on -m 256 "
        "-object {\"qom-type\":\"memory-backend-ram\",\"id\":\"microvm.ram\",\"size\":268435456} "
        "-overcommit mem-lock=off -smp 1,sockets=1,cores=1,threads=1 "
        "-uuid c0ffee00-0000-4000-8000-000000000001 -display none -no-user-config -nodefaults "
        "-chardev socket,id=charmonitor,fd=30,server=on,wait=off "
        "-mon chardev=charmonitor,id=monitor,mode=control -rtc base=utc -no-shutdown "
        "-boot strict=on -kernel work/dirty.elf -append a=1,b=2 "
        "-add-fd set=0,fd=%d,opaque=serial0-source "
        "-chardev file,id=charserial0,path=/dev/fdset/0,append=on "
        "-device {\"driver\":\"isa-serial\",\"chardev\":\"charserial0\",\"id\":\"serial0\","
        "\"index\":0} -audiodev {\"id\":\"audio1\",\"driver\":\"none\"} -incoming defer "
        "-sandbox off -msg timestamp=on", dup(STDIN_FILENO));
    g_autoptr(MachineConfig) c = parse(line);
    const ChardevConfig *chr = g_ptr_array_index(c->chardevs, 0);
    const MonitorConfig *mon = g_ptr_array_index(c->monitors, 0);
    const SerialConfig *ser = g_ptr_array_index(c->serials, 0);
    const FdsetConfig *set = g_ptr_array_index(c->fdsets, 0);
    static const uint8_t uuid[16] = { 0xc0, 0xff, 0xee, 0, 0, 0, 0x40, 0, 0x80, 0, [15] = 1 };

    g_assert_cmpstr(c->name, ==, "mini");
    g_assert_true(c->debug_threads && c->start_paused && c->nodefaults && c->no_shutdown);
    g_assert_cmpstr(c->machine_type, ==, "microvm");
    g_assert_cmpstr(machine_config_prop(c, "memory-backend"), ==, "microvm.ram");
    g_assert_cmpstr(c->cpu_model, ==, "qemu64,pni=off,x2apic=on");
    g_assert_cmpuint(c->ram_size, ==, 256 << 20);
    g_assert_cmpuint(c->smp, ==, 1);
    g_assert_true(c->has_uuid && !memcmp(c->uuid, uuid, 16));
    g_assert_cmpuint(c->chardevs->len, ==, 2);
    g_assert_cmpstr(chr->fd, ==, "30");
    g_assert_true(chr->server && !chr->wait);
    g_assert_cmpuint(c->monitors->len, ==, 1);
    g_assert_true(mon->control && !strcmp(mon->chardev, "charmonitor"));
    g_assert_cmpuint(c->serials->len, ==, 1);
    g_assert_true(ser->index == 0 && !strcmp(ser->chardev, "charserial0"));
    g_assert_cmpstr(c->append, ==, "a=1,b=2");
    g_assert_cmpstr(set->opaque, ==, "serial0-source");
    g_assert_cmpstr(c->incoming, ==, "defer");
    g_assert_true(c->msg_timestamp);
    close(set->fd);
}

static void test_libvirt_probe(void)
{
    g_autoptr(MachineConfig) c = parse(
        "-S -no-user-config -nodefaults -nographic -machine none,accel=kvm:mshv:tcg "
        "-qmp unix:/q/qmp.monitor,server=on,wait=off -pidfile /q/qmp.pid -daemonize");
    const AccelConfig *a = g_ptr_array_index(c->accels, 0);
    const ChardevConfig *chr = g_ptr_array_index(c->chardevs, 0);

    g_assert_cmpstr(c->machine_type, ==, "none");
    g_assert_cmpuint(c->accels->len, ==, 1);
    g_assert_cmpstr(a->name, ==, "kvm");
    g_assert_true(c->daemonize && c->nographic);
    g_assert_cmpstr(c->pidfile, ==, "/q/qmp.pid");
    g_assert_cmpuint(c->chardevs->len, ==, 1);
    g_assert_cmpstr(chr->path, ==, "/q/qmp.monitor");
    g_assert_cmpuint(c->serials->len, ==, 0);
    g_assert_cmpuint(c->monitors->len, ==, 1);
}

/* Without its -qtest sockets, which are refused. */
static void test_migration_test(void)
{
    g_autoptr(MachineConfig) c = parse(
        "-chardev socket,path=T/qtest-24763.qmp,id=char0 -object monitor-qmp,id=qmp0,chardev=char0 "
        "-display none -audio none -run-with exit-with-parent=on -accel kvm -accel tcg "
        "-machine microvm, -name source,debug-threads=on -machine memory-backend=mig.mem "
        "-object memory-backend-ram,id=mig.mem,size=150M,share=off "
        "-serial file:T/migration-test-9SXBZ3/src_serial -incoming defer "
        "-drive if=none,id=d0,file=T/migration-test-9SXBZ3/bootsect,format=raw "
        "-device ide-hd,drive=d0,secs=1,cyls=1,heads=1 -accel qtest");
    const MemoryBackendConfig *b = g_ptr_array_index(c->backends, 0);
    const DriveConfig *d = g_ptr_array_index(c->drives, 0);
    const ChardevConfig *ser = g_ptr_array_index(c->chardevs, 1);
    const MonitorConfig *mon = g_ptr_array_index(c->monitors, 0);

    g_assert_cmpstr(c->name, ==, "source");
    g_assert_cmpuint(c->accels->len, ==, 1);
    g_assert_true(c->exit_with_parent);
    g_assert_cmpuint(c->ram_size, ==, 150 << 20);
    g_assert_cmpstr(b->id, ==, "mig.mem");
    g_assert_true(b->has_share && !b->share);
    g_assert_cmpstr(d->iface, ==, "ide");
    g_assert_cmpstr(d->file, ==, "T/migration-test-9SXBZ3/bootsect");
    g_assert_cmpstr(ser->backend, ==, "file");
    g_assert_cmpstr(ser->path, ==, "T/migration-test-9SXBZ3/src_serial");
    g_assert_true(mon->control && !strcmp(mon->chardev, "char0"));
    g_assert_cmpuint(c->monitors->len, ==, 1);
}

static void test_migration_test_variants(void)
{
    g_autoptr(MachineConfig) shm = parse(
        "-machine memory-backend=mig.mem -object "
        "memory-backend-file,mem-path=/dev/shm/qemu-1,id=mig.mem,size=150M,share=on");
    g_autoptr(MachineConfig) ring = parse(
        "-accel kvm,dirty-ring-size=4096 -name dirtylimit-test,debug-threads=on -m 150M -smp 1 "
        "-serial file:vm_serial -drive file=bootsect,format=raw");
    g_autoptr(MachineConfig) cpr = parse(
        "-machine aux-ram-share=on -nodefaults -object "
        "memory-backend-memfd,id=mig.mem,size=150M,share=on -machine memory-backend=mig.mem");
    const MemoryBackendConfig *b = g_ptr_array_index(shm->backends, 0);
    const AccelConfig *a = g_ptr_array_index(ring->accels, 0);

    g_assert_true(b->share && !strcmp(b->mem_path, "/dev/shm/qemu-1"));
    g_assert_cmpstr(g_hash_table_lookup(a->props, "dirty-ring-size"), ==, "4096");
    g_assert_cmpuint(ring->ram_size, ==, 150 << 20);
    g_assert_cmpuint(cpr->ram_size, ==, 150 << 20);
}

/* ---- options one by one ---- */

static void test_defaults(void)
{
    g_autoptr(MachineConfig) c = parse("");
    const AccelConfig *a = g_ptr_array_index(c->accels, 0);
    const ChardevConfig *chr = g_ptr_array_index(c->chardevs, 0);

    g_assert_cmpstr(c->machine_type, ==, "microvm");
    g_assert_cmpstr(a->name, ==, "kvm");
    g_assert_cmpuint(c->smp, ==, 1);
    g_assert_cmpuint(c->ram_size, ==, 0);
    g_assert_cmpuint(c->serials->len, ==, 1); /* there, but heard by nobody */
    g_assert_cmpstr(chr->backend, ==, "null");
    g_assert_cmpuint(c->monitors->len, ==, 0);
}

static void test_double_dash(void)
{
    g_autoptr(MachineConfig) c = parse("--machine none --m 1G -S --name x");

    g_assert_cmpstr(c->machine_type, ==, "none");
    g_assert_cmpuint(c->ram_size, ==, 1 << 30);
    g_assert_true(c->start_paused);
}

static void test_machine_props(void)
{
    g_autoptr(MachineConfig) c = parse(
        "-M microvm,pic=off,acpi=off, -machine pit=no,suppress-vmdesc=on,kernel=/k -no-acpi");

    g_assert_false(machine_config_prop_bool(c, "pic", true));
    g_assert_false(machine_config_prop_bool(c, "pit", true));
    g_assert_false(machine_config_prop_bool(c, "acpi", true));
    g_assert_true(machine_config_prop_bool(c, "rtc", true));
    g_assert_true(machine_config_prop_bool(c, "suppress-vmdesc", false));
    g_assert_cmpstr(c->kernel, ==, "/k");
}

static void test_accels(void)
{
    g_autoptr(MachineConfig) c = parse("-accel tcg -accel kvm -accel sim");
    g_autoptr(MachineConfig) k = parse("-enable-kvm");
    g_autoptr(MachineConfig) n = parse("-M none");

    g_assert_cmpuint(c->accels->len, ==, 2);
    g_assert_cmpstr(((AccelConfig *)g_ptr_array_index(c->accels, 1))->name, ==, "sim");
    g_assert_cmpstr(((AccelConfig *)g_ptr_array_index(k->accels, 0))->name, ==, "kvm");
    g_assert_cmpuint(n->accels->len, ==, 2); /* no CPU: works without KVM as well */
}

static void test_smp(void)
{
    static const struct {
        const char *line;
        unsigned cpus;
    } cases[] = {
        { "-smp 4", 4 },
        { "-smp cpus=2", 2 },
        { "-smp 4,maxcpus=4", 4 },
        { "-smp sockets=2,cores=2,threads=1", 4 },
        { "-smp 8,sockets=2,dies=1,cores=2,threads=2", 8 },
        { "-smp 4,cores=2", 4 },
        { "-smp 16", 16 },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(MachineConfig) c = parse(cases[i].line);

        g_assert_cmpuint(c->smp, ==, cases[i].cpus);
    }
}

static void test_memory(void)
{
    static const struct {
        const char *line;
        uint64_t size;
    } cases[] = {
        { "-m 256", 256 << 20 },       { "-m 1G", 1 << 30 },
        { "-m size=262144k", 256 << 20 }, { "-m 512,slots=4,maxmem=512M", 512 << 20 },
        { "-m 1M -m 2M", 2 << 20 },    { "-m 4097b", 8192 },
    };
    g_autoptr(MachineConfig) c = parse("-mem-path /dev/hugepages -mem-prealloc");

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(MachineConfig) m = parse(cases[i].line);

        g_assert_cmpuint(m->ram_size, ==, cases[i].size);
    }
    g_assert_cmpstr(c->mem_path, ==, "/dev/hugepages");
    g_assert_true(c->mem_prealloc);
}

static void test_backend_options(void)
{
    g_autoptr(MachineConfig) c = parse(
        "-object memory-backend-memfd,id=a,size=2M,hugetlb=on,hugetlbsize=2M,prealloc=on,merge=off "
        "-object memory-backend-file,id=b,size=1M,mem-path=/x,,y,align=2M,offset=4096,readonly=on "
        "-object memory-backend-ram,id=c,size=4k,policy=default");
    const MemoryBackendConfig *a = g_ptr_array_index(c->backends, 0);
    const MemoryBackendConfig *b = g_ptr_array_index(c->backends, 1);

    g_assert_true(a->hugetlb && a->prealloc && a->share && a->merge_off && !a->dump_off);
    g_assert_cmpuint(a->hugetlbsize, ==, 2 << 20);
    g_assert_cmpstr(b->mem_path, ==, "/x,y");
    g_assert_cmpuint(b->align, ==, 2 << 20);
    g_assert_cmpuint(b->offset, ==, 4096);
    g_assert_true(b->readonly && !b->share);
}

static void assert_serial(const char *dev, const char *backend, const char *path, const char *host,
                          const char *port)
{
    g_autofree char *line = g_strconcat("-nodefaults -serial ", dev, NULL);
    g_autoptr(MachineConfig) c = parse(line);
    const ChardevConfig *chr = g_ptr_array_index(c->chardevs, 0);
    const SerialConfig *s = g_ptr_array_index(c->serials, 0);

    g_assert_cmpstr(chr->id, ==, "serial0");
    g_assert_cmpstr(s->chardev, ==, "serial0");
    g_assert_cmpstr(chr->backend, ==, backend);
    g_assert_cmpstr(chr->path, ==, path);
    g_assert_cmpstr(chr->host, ==, host);
    g_assert_cmpstr(chr->port, ==, port);
}

static void test_serial_forms(void)
{
    assert_serial("stdio", "stdio", NULL, NULL, NULL);
    assert_serial("null", "null", NULL, NULL, NULL);
    assert_serial("pty", "pty", NULL, NULL, NULL);
    assert_serial("file:/a,b=on", "file", "/a,b=on", NULL, NULL);
    assert_serial("pipe:/f", "pipe", "/f", NULL, NULL);
    assert_serial("unix:/s,server=on,wait=off", "socket", "/s", NULL, NULL);
    assert_serial("unix:/s,server,nowait", "socket", "/s", NULL, NULL);
    assert_serial("tcp:localhost:4444,server=on,wait=off", "socket", NULL, "localhost", "4444");
    assert_serial("tcp::4444,server=on", "socket", NULL, "", "4444");
    assert_serial("tcp:[::1]:4444", "socket", NULL, "::1", "4444");
}

static void test_serial_index(void)
{
    g_autoptr(MachineConfig) c = parse(
        "-serial none -serial null -chardev null,id=x -serial chardev:x -device "
        "isa-serial,chardev=y,iobase=0x2e8,irq=3 -chardev null,id=y");
    const SerialConfig *none = g_ptr_array_index(c->serials, 0);
    const SerialConfig *x = g_ptr_array_index(c->serials, 2);
    const SerialConfig *y = g_ptr_array_index(c->serials, 3);

    g_assert_cmpuint(c->serials->len, ==, 4);
    g_assert_null(none->chardev);
    g_assert_true(x->index == 2 && !strcmp(x->chardev, "x"));
    g_assert_true(y->index == 3 && !strcmp(y->chardev, "y"));
}

static void test_terminal(void)
{
    g_autoptr(MachineConfig) both = parse("-nographic");
    g_autoptr(MachineConfig) mon = parse("-nodefaults -serial mon:stdio");
    g_autoptr(MachineConfig) alone = parse("-nographic -serial null");
    g_autoptr(MachineConfig) daemon = parse("-nographic -daemonize");
    const ChardevConfig *chr = g_ptr_array_index(both->chardevs, 0);

    g_assert_cmpuint(both->chardevs->len, ==, 1);
    g_assert_true(chr->mux && !strcmp(chr->backend, "stdio"));
    g_assert_cmpuint(both->monitors->len, ==, 1);
    g_assert_cmpuint(both->serials->len, ==, 1);
    g_assert_cmpuint(mon->monitors->len, ==, 1);
    g_assert_cmpuint(alone->monitors->len, ==, 1);
    g_assert_cmpuint(alone->chardevs->len, ==, 2);
    g_assert_cmpuint(daemon->monitors->len, ==, 0);
}

static void test_monitors(void)
{
    g_autoptr(MachineConfig) c = parse(
        "-nodefaults -monitor unix:/m,server=on,wait=off -qmp-pretty tcp:127.0.0.1:1 -monitor none "
        "-chardev pipe,id=p,path=/p -mon p,mode=readline -chardev null,id=q,mux=on "
        "-mon chardev=q,mode=control,pretty=on -mon chardev=q");
    const MonitorConfig *hmp = g_ptr_array_index(c->monitors, 0);
    const MonitorConfig *qmp = g_ptr_array_index(c->monitors, 1);

    g_assert_cmpuint(c->monitors->len, ==, 5);
    g_assert_true(!hmp->control && !strcmp(hmp->chardev, "compat_monitor0"));
    g_assert_true(qmp->control && qmp->pretty && !strcmp(qmp->chardev, "compat_monitor1"));
}

static void test_chardev_options(void)
{
    g_autoptr(MachineConfig) c = parse(
        "-chardev socket,id=a,host=h,port=1,reconnect=5,nodelay=on,ipv4=on -chardev "
        "file,id=b,path=/b,append=on,input-path=/i,logfile=/l,logappend=on -chardev "
        "stdio,id=c,signal=off -chardev socket,id=d,path=/d,server=on");
    const ChardevConfig *a = g_ptr_array_index(c->chardevs, 0);
    const ChardevConfig *b = g_ptr_array_index(c->chardevs, 1);
    const ChardevConfig *s = g_ptr_array_index(c->chardevs, 2);
    const ChardevConfig *d = g_ptr_array_index(c->chardevs, 3);

    g_assert_true(a->nodelay && a->ipv4 && !a->server && a->reconnect == 5);
    g_assert_true(b->append && b->logappend);
    g_assert_cmpstr(b->input_path, ==, "/i");
    g_assert_cmpstr(b->logfile, ==, "/l");
    g_assert_true(s->has_signal && !s->signal);
    g_assert_true(d->server && d->wait); /* QEMU's default */
}

static void test_drives(void)
{
    g_autoptr(MachineConfig) c = parse(
        "-drive file=/a,format=raw,cache=none,readonly=on "
        "-blockdev {\"driver\":\"file\",\"node-name\":\"f\",\"filename\":\"/b\"} "
        "-blockdev driver=raw,node-name=r,file=f -device ide-hd,drive=r,bootindex=1 "
        "-blockdev raw,node-name=n,file.driver=file,file.filename=/c");
    const DriveConfig *a = g_ptr_array_index(c->drives, 0);
    const DriveConfig *r = g_ptr_array_index(c->drives, 2);
    const DriveConfig *n = g_ptr_array_index(c->drives, 3);

    g_assert_true(a->readonly && !strcmp(a->iface, "ide"));
    g_assert_cmpstr(r->file, ==, "/b");
    g_assert_cmpstr(r->iface, ==, "ide");
    g_assert_cmpstr(n->file, ==, "/c");
    g_assert_cmpstr(n->iface, ==, "none");
}

static void test_loader(void)
{
    g_autoptr(MachineConfig) c = parse(
        "-device loader,file=/f,addr=0x100000,force-raw=on,cpu-num=0 "
        "-device loader,addr=0x8000,data=0x1234,data-len=2,data-be=on");
    const LoaderConfig *f = g_ptr_array_index(c->loaders, 0);
    const LoaderConfig *d = g_ptr_array_index(c->loaders, 1);

    g_assert_true(f->has_addr && f->addr == 0x100000 && f->force_raw && f->cpu_num == 0);
    g_assert_true(d->data == 0x1234 && d->data_len == 2 && d->data_be && d->cpu_num == -1);
}

static void test_noops(void)
{
    g_autoptr(MachineConfig) c = parse(
        "-vga none -parallel none -net none -nic none -no-hpet -L /fw -watchdog-action reset "
        "-rtc base=utc,clock=host,driftfix=slew -boot order=c,menu=off -audio driver=none "
        "-overcommit mem-lock=off,cpu-pm=off -global migration.send-switchover-start=off "
        "-d trace:foo*,trace:ram_* -D /log -trace enable=foo* -no-reboot");

    g_assert_cmpuint(c->globals->len, ==, 1);
    g_assert_cmpuint(c->traces->len, ==, 3);
    g_assert_cmpstr(c->log_file, ==, "/log");
    g_assert_true(c->no_reboot);
}

/* ---- what is refused ---- */

static const struct {
    const char *line, *message;
} refused[] = {
    { "-serail stdio", "-serail: invalid option (nearest: -serial)" },
    { "--machin none", "--machin: invalid option (nearest: -machine)" },
    { "-m", "-m: requires an argument" },
    { "disk.img",
      "disk.img: unexpected argument (for a disk image use -drive file=...,format=raw)" },
    { "-qtest unix:/x", "-qtest: not supported; there is no qtest socket yet; use -qmp and "
                        "xp/pmemsave" },
    { "-m 12x", "-m 12x: Parameter 'size' expects a size below 2^64, such as 512M or 1G, not "
                "'12x'" },
    { "-m 1G,maxmem=2G",
      "-m 1G,maxmem=2G: maxmem differs from size: there is no memory hot-plug, give only size" },
    { "-M q35", "-machine q35: unsupported machine type (nearest: microvm)\n"
                "Use -machine help to list supported machines" },
    { "-M microvm,usb=on", "-machine usb=on: not supported here (supported: off)" },
    { "-M microvm,rct=on",
      "-machine microvm: Property 'microvm-machine.rct' not found (nearest: rtc)" },
    { "-accel kvm -M none,accel=kvm",
      "The -accel and \"-machine accel=\" options are incompatible" },
    { "-accel tcg", "-accel tcg: not available in this binary (supported: kvm, sim)" },
    { "-accel foo", "-accel foo: invalid accelerator foo (supported: kvm, sim)" },
    { "-smp 2,sockets=1,cores=1,threads=1",
      "-smp: Invalid CPU topology: product of the hierarchy must match maxcpus: sockets * dies * "
      "cores * threads (1) != maxcpus (2)" },
    { "-smp 0", "-smp 0: Parameter 'cpus' must be greater than zero" },
    { "-smp 1,maxcpus=2", "-smp: maxcpus (2) differs from cpus (1): there is no CPU hot-plug, give "
                          "both the same value" },
    { "-smp 99",
      "-smp: Invalid SMP CPUs 99. The max CPUs supported by machine 'microvm' is 16" },
    { "-cpu hots", "-cpu hots: unable to find CPU model 'hots' (nearest: host)" },
    { "-object memory-backend-ram,id=1x,size=1M",
      "-object memory-backend-ram,id=1x,size=1M: Parameter 'id' expects an identifier\n"
      "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter." },
    { "-object memory-backend-ram,id=x",
      "-object memory-backend-ram,id=x: Parameter 'size' is missing or zero" },
    { "-object memory-backend-ram,id=x,size=1",
      "-object memory-backend-ram,id=x,size=1: Parameter 'size' must be a multiple of 4096, not "
      "1" },
    { "-object tls-creds-x509,id=t",
      "-object tls-creds-x509,id=t: tls-creds-x509: TLS is not supported yet; migrate through an "
      "ssh tunnel" },
    { "-machine memory-backend=x",
      "-machine memory-backend=x: Memory backend 'x' not found (make it with -object "
      "memory-backend-ram,id=x,size=...)" },
    { "-m 2M -object memory-backend-ram,id=x,size=1M -machine memory-backend=x",
      "-m: machine memory size 2097152 does not match the size 1048576 of memory backend 'x'" },
    { "-chardev foobarbaz,id=x", "-chardev foobarbaz,id=x: 'foobarbaz' is not a valid char driver "
                                 "name (-chardev help lists them)" },
    { "-chardev null,id=a -chardev null,id=a",
      "-chardev null,id=a: Duplicate ID 'a' for chardev" },
    { "-chardev socket,id=x", "-chardev socket,id=x: exactly one of 'path', 'fd' and 'port' (with "
                              "'host') is needed" },
    { "-chardev socket,id=x,path=/z,sever=on",
      "-chardev socket,id=x,path=/z,sever=on: Invalid parameter 'sever' (nearest: server)" },
    { "-mon chardev=zz",
      "-mon: chardev \"zz\" not found (make it with -chardev ...,id=zz)" },
    { "-chardev null,id=a -mon a -mon a",
      "-mon: chardev \"a\" is already in use (share it with mux=on)" },
    { "-serial stdio -monitor stdio", "cannot use stdio by multiple character devices (share it "
                                      "with mon:stdio)" },
    { "-daemonize -serial stdio", "cannot use stdio with -daemonize" },
    { "-serial null -serial null -serial null -serial null -serial null",
      "-serial null: the machine has 4 serial ports, not more" },
    { "-serial tcp:nohost", "-serial tcp:nohost: expected HOST:PORT, not 'nohost'" },
    { "-device foo", "-device foo: 'foo' is not a valid device model name (supported: loader, "
                     "isa-serial, ide-hd)" },
    { "-device isa-serail,chardev=x", "-device isa-serail,chardev=x: 'isa-serail' is not a valid "
                                      "device model name (nearest: isa-serial)" },
    { "-device ide-hd,drive=d", "-device ide-hd,drive=d: Property 'ide-hd.drive' can't find value "
                                "'d' (make it with -drive if=none,id=d,file=...)" },
    { "-drive file=a,format=qcow2",
      "-drive file=a,format=qcow2: Parameter 'format' does not accept value 'qcow2' (supported: "
      "raw)" },
    { "-uuid 12", "-uuid 12: failed to parse UUID string: wrong format (expected "
                  "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx)" },
    { "-append x", "-append only allowed with -kernel option" },
    { "-display gtk", "-display gtk: Parameter 'type' does not accept value 'gtk' (nearest: "
                      "none)" },
    { "-add-fd fd=1,set=0", "-add-fd fd=1,set=0: fd cannot be a standard I/O stream" },
    { "-name guest=a,foo=b", "-name guest=a,foo=b: Invalid parameter 'foo'" },
    { "-rtc base=localtime",
      "-rtc base=localtime: Parameter 'base' supports 'utc' only, not 'localtime'" },
    { "-sandbox on", "-sandbox on: there is no system call filter (nearest: off)" },
    { "-incoming {}", "-incoming {}: channels are not supported here; give a URI, or -incoming "
                      "defer and migrate-incoming with channels" },
    { "-global foo", "-global foo: expected DRIVER.PROPERTY=VALUE, such as "
                     "migration.send-switchover-start=off" },
    { "-run-with chroot=/x", "-run-with chroot=/x: 'chroot' and 'user' are not supported: use "
                             "chroot(8) and setpriv(1)" },
    { "-d int", "-d int: Invalid log item 'int' (supported: trace:PATTERN, -trace help lists the "
                "events)" },
    { "-daemonize -run-with exit-with-parent=on",
      "-run-with exit-with-parent=on can't be used together with -daemonize, whose parent leaves "
      "at once" },
};

static void test_refused(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
        g_autoptr(GError) err = NULL;
        int exit_code = 0;

        g_test_message("%s", refused[i].line);
        g_assert_null(try_parse(refused[i].line, &exit_code, &err));
        g_assert_nonnull(err);
        g_assert_cmpstr(err->message, ==, refused[i].message);
    }
}

/* ---- the table ---- */

static void test_table(void)
{
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);

    for (const CmdlineOption *o = cmdline_options; o->name; o++) {
        g_test_message("%s", o->name);
        g_assert_true(g_hash_table_add(names, (gpointer)o->name));
        g_assert_cmpint(!!o->handler + !!o->noop + !!o->unsupported, ==, 1);
        if (!o->unsupported) {
            g_assert_cmpuint(strlen(o->help), >, 5);
        }
    }
}

/* Every option of the table is in -help and in the reference, with its reason. */
static void test_help(void)
{
    char *text = NULL, *rst = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);

    cmdline_print_help(f);
    fclose(f);
    f = open_memstream(&rst, &len);
    cmdline_print_reference(f);
    fclose(f);
    for (const CmdlineOption *o = cmdline_options; o->name; o++) {
        g_autofree char *line = g_strdup_printf("\n-%s%c", o->name, o->arg ? ' ' : '\n');
        g_autofree char *item = g_strdup_printf("``-%s%s", o->name, o->arg ? " " : "``");

        g_assert_nonnull(strstr(rst, item));
        g_assert_cmpint(strstr(text, line) != NULL, ==, !o->unsupported);
        if (o->noop) {
            g_assert_nonnull(strstr(text, o->noop));
        }
    }
    free(text);
    free(rst);
}

static void test_printing_options(void)
{
    static const char *const lines[] = {
        "-version", "-help", "-h", "-M help", "-accel help", "-cpu help", "-device help",
        "-object help", "-chardev help", "-d help", "-trace help", "-display help", "-help-rst",
    };

    if (!g_test_subprocess()) {
        g_test_trap_subprocess(NULL, 0, 0);
        g_test_trap_assert_passed();
        g_test_trap_assert_stdout("*godwit emulator version*(QEMU 7.2 level)*microvm*isa-serial*");
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autoptr(GError) err = NULL;
        int exit_code = -1;
        g_autoptr(MachineConfig) c = try_parse(lines[i], &exit_code, &err);

        g_assert_no_error(err);
        g_assert_nonnull(c);
        g_assert_cmpint(exit_code, ==, 0);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    machine_set_boards(hw_boards);
    g_test_add_func("/cmdline/libvirt-guest", test_libvirt_guest);
    g_test_add_func("/cmdline/libvirt-probe", test_libvirt_probe);
    g_test_add_func("/cmdline/migration-test", test_migration_test);
    g_test_add_func("/cmdline/migration-test-variants", test_migration_test_variants);
    g_test_add_func("/cmdline/defaults", test_defaults);
    g_test_add_func("/cmdline/double-dash", test_double_dash);
    g_test_add_func("/cmdline/machine-props", test_machine_props);
    g_test_add_func("/cmdline/accels", test_accels);
    g_test_add_func("/cmdline/smp", test_smp);
    g_test_add_func("/cmdline/memory", test_memory);
    g_test_add_func("/cmdline/backend-options", test_backend_options);
    g_test_add_func("/cmdline/serial-forms", test_serial_forms);
    g_test_add_func("/cmdline/serial-index", test_serial_index);
    g_test_add_func("/cmdline/terminal", test_terminal);
    g_test_add_func("/cmdline/monitors", test_monitors);
    g_test_add_func("/cmdline/chardev-options", test_chardev_options);
    g_test_add_func("/cmdline/drives", test_drives);
    g_test_add_func("/cmdline/loader", test_loader);
    g_test_add_func("/cmdline/noops", test_noops);
    g_test_add_func("/cmdline/refused", test_refused);
    g_test_add_func("/cmdline/table", test_table);
    g_test_add_func("/cmdline/help", test_help);
    g_test_add_func("/cmdline/printing-options", test_printing_options);
    return g_test_run();
}
