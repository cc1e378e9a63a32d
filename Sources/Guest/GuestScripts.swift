// SPDX-License-Identifier: Apache-2.0

/// The shell code that runs in the guest as its process 1. POSIX sh, run by busybox's or Debian's.
///
/// Three stages. *Start* (`initramfs` or `kernelRoot`) makes /proc, /sys, /dev and /run, opens the control channel, says
/// "hello" and receives *session*, which says "ready" and serves commands until the host says 0. Everything else, such as mounting the
/// shares, is a command that the host sends.
///
/// The control channel carries lines. Host: "pipes" or "terminal ROWS COLUMNS" and then a script, or "end", or
/// "restart". Guest: "hello",
/// "ready", "exit STATUS", "fail TEXT".
///
/// Scripts, and a command's input on its own channel, come in pieces: a byte count on a line, then the bytes; a count of 0
/// ends it. The guest answers "more FD" to each, and the host sends no piece before: a console of UML loses its input for
/// ever once it had to hold it back (line_throttle in arch/um/drivers/line.c stops the interrupt and nothing starts it
/// again), so no more may be on its way than a terminal's buffer holds.
package enum GuestScripts {
    /// /init of the initramfs. The kernel hands it `guest_console` (virtio or tty), `guest_root` (a tag, or nothing) and
    /// `guest_root_options` (",dax=…", or nothing) as environment, which is what it does with the words of its command line
    /// that it does not know.
    package static let initramfs = """
        #!/bin/busybox sh
        export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=linux
        export tool=/bin/busybox
        $tool --install -s /bin
        mount -t proc proc /proc
        mount -t sysfs sys /sys
        mount -t devtmpfs dev /dev 2>/dev/null
        mount -t tmpfs -o mode=755 run /run
        mount -t tmpfs tmp /tmp
        while read -r module; do
            insmod "/modules/$module" || echo "virtiofs vm: cannot load $module" >/dev/console
        done </modules/order
        \(port)
        \(receive)
        \(hello)
        if [ -n "$guest_root" ]; then
            if ! mount -t virtiofs -o "rw$guest_root_options" "$guest_root" /root 2>/run/error; then
                echo "fail $(cat /run/error)" >&3
                poweroff -f
            fi
            mount -t tmpfs -o mode=755 run /root/run || echo "fail the root has no directory /run" >&3
            cp -p /run/session /bin/busybox /root/run/
            [ ! -e /bin/virtiofs-agent ] || cp -p /bin/virtiofs-agent /root/run/
            for directory in dev proc sys; do mount --move /$directory /root/$directory; done
            export tool=/run/busybox
            exec switch_root /root /run/busybox sh /run/session
        fi
        exec sh /run/session
        """

    /// For `init=/bin/sh -- -c "…"`: the kernel has mounted the share as its root by itself and there is no initramfs. Must
    /// hold no double quote and stay short: a kernel command line has 2048 bytes.
    package static let kernelRoot = [
        "export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=linux tool=",
        "mount -t proc proc /proc", "mount -t sysfs sys /sys", "mount -t devtmpfs dev /dev 2>/dev/null",
        "mount -t tmpfs run /run",
        port.split(separator: "\n").joined(separator: " "),
        receive.split(separator: "\n").joined(separator: " "),
        hello.split(separator: "\n").joined(separator: "; "),
        "exec sh /run/session",
    ].joined(separator: "; ")

    /// Finds the device of a channel by name, waiting until the driver has made it. Written so that its lines can be
    /// joined to one.
    private static let port = """
        port() {
        if [ $guest_console = tty ]; then
        case $1 in control) echo /dev/tty1;; input) echo /dev/tty2;; output) echo /dev/tty3;; errors) echo /dev/tty4;;
        *) echo /dev/tty5;; esac;
        elif [ $1 = terminal ]; then echo /dev/ttyS1;
        else while :; do for p in /sys/class/virtio-ports/*; do
        n=; read -r n <$p/name; if [ x$n = x$1 ]; then echo /dev/${p##*/}; return; fi;
        done 2>/dev/null; $tool sleep 0.05; done; fi; }
        """

    /// Opens the control channel as descriptor 3 and receives the session.
    private static let hello = """
        control=$(port control)
        exec 3<>$control
        [ $guest_console = virtio ] || $tool stty raw -echo <&3
        echo hello >&3
        receive 3 >/run/session
        """

    /// Copies counted pieces from descriptor $1 to the output. All are taken even if nobody reads the output any more.
    private static let receive = """
        receive() {
        trap '' PIPE;
        while read -r count <&$1 && [ ${count:-0} -gt 0 ];
        do $tool dd bs=$count count=1 iflag=fullblock <&$1 2>/dev/null; echo more $1 >&3; done; }
        """

    /// Serves commands. A command's input, output and errors pass through FIFOs and `dd`, which reads and writes
    /// synchronously: when a dd has ended, its last byte has left the guest. The command is a session of its own, and what
    /// is left of it when it ends is killed, or its open end of a FIFO would hold up the answer.
    package static let session = """
        \(port)
        \(receive)
        work=/run/guest
        $tool mkdir -p $work
        cd /
        input=$(port input) output=$(port output) errors=$(port errors) terminal=$(port terminal)
        if [ $guest_console = tty ]; then
            # Kept open: a terminal forgets its mode when the last one closes it.
            exec 6<>$input 7<>$output 8<>$errors
            for device in $input $output $errors; do $tool stty raw -echo <$device; done  # before anything arrives
        fi
        $tool mkfifo $work/input $work/output $work/errors
        $tool mkdir -p /dev/pts /dev/shm
        mount -t devpts devpts /dev/pts
        mount -t tmpfs shm /dev/shm
        [ -e /dev/fd ] || $tool ln -s /proc/self/fd /dev/fd

        feed() {
            exec 4<$input
            receive 4
        }

        end_session() {  # the fourth field after the name, which may hold spaces, is the session
            for file in /proc/[0-9]*/stat; do
                read -r line <$file || continue
                set -- ${line##*) }
                [ "$4" != $leader ] || kill -9 ${line%% *}
            done 2>/dev/null
        }

        run_piped() {
            $tool dd bs=65536 <$work/output >$output 2>/dev/null 3<&- &
            forward_output=$!
            $tool dd bs=65536 <$work/errors >$errors 2>/dev/null 3<&- &
            forward_errors=$!
            feed >$work/input &
            feeder=$!
            $tool setsid sh $work/script <$work/input >$work/output 2>$work/errors 3<&- 6<&- 7<&- 8<&- &
            leader=$!
            wait $leader
            status=$?
            end_session
            wait $forward_output
            wait $forward_errors
            # Setting a terminal's mode waits until all its output has left.
            [ $guest_console != tty ] || { $tool stty raw -echo <&7; $tool stty raw -echo <&8; }
        }

        run_on_terminal() {
            exec 5<>$terminal  # a terminal forgets its size when the last one closes it
            $tool stty sane rows $1 cols $2 <&5
            $tool setsid -c sh $work/script <$terminal >$terminal 2>&1 3<&- 5<&- &
            leader=$!
            wait $leader
            status=$?
            feeder=
            end_session
        }

        echo ready >&3
        while read -r mode rows columns <&3 && [ "$mode" != end ] && [ "$mode" != restart ]; do
            receive 3 >$work/script
            if [ "$mode" = terminal ]; then run_on_terminal $rows $columns; else run_piped; fi
            echo "exit $status" >&3
            [ -z "$feeder" ] || wait $feeder
        done
        sync
        [ "$mode" != restart ] || $tool reboot -f
        $tool poweroff -f || echo o >/proc/sysrq-trigger
        while :; do $tool sleep 1; done
        """

    /// Starts the agent for a share at `path`, in a session of its own: that of a command ends with it. Its words are the
    /// guest's log.
    static func agent(at path: String) -> String {
        let paths = AgentProgram.guestPaths
        return """
            agent=\(paths[0]); [ -x $agent ] || agent=\(paths[1])
            $tool setsid $tool sh -c '"$0" "$1" </dev/null >/dev/console 2>&1 &' $agent \(quoted(path)) || exit 1

            """
    }

    /// `text` as one word of sh.
    package static func quoted(_ text: String) -> String {
        "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    }
}
