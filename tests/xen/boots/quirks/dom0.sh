# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# shellcheck source=../../lib/dom0.sh
. /lab/dom0.sh
NIC=0000:00:05.0
SATA=0000:00:09.0
LOCAL=/etc/pcibackd/quirks.d
GAP=0x40                # nothing is there in an 82574L: a quirk may say what a guest finds

modprobe pci-stub
setpci -s "$SATA" COMMAND=0:4      # the firmware has looked for a disk to boot from
mkdir -p "$LOCAL"
snapshot /tmp/before
guest_start a pv 256
guest_start b pv 256

# quirk VALUE: a manifest that shows this constant in the gap
quirk() {
	cat >"$LOCAL/90-lab.json" <<-END
		{ "schema": 1, "quirks": [ { "id": "lab-gap", "reason": "the lab shows a constant",
		  "source": "https://example.org/lab", "match": { "vendor": "0x8086", "device": "0x10d3" },
		  "fields": [ { "at": "$GAP", "size": 4, "fixed": "0xffffffff", "value": "$1", "why": "for the lab" } ] } ] }
	END
}
guest_sees() { prints "^$1\$" guest_do a "cfgprobe read \$(config_of 8086:10d3) $GAP 4"; }

scenario explain
# The AHCI quirk is off, so that its driver has something to be denied.
daemon_config '{ "disable": ["intel-ahci-pcs"] }'
check "the daemon starts" daemon_start
check "it has quirks" prints 'tg3' ctl quirks list
check "all that is shipped is valid" ctl quirks validate /usr/share/pcibackd/quirks.d
check "guest a gets the network card" ctl attach a "$NIC" --claim --wait 30
check "it works" guest_do a 'nic_up e1000e && ping_gateway 2' 60
check "explain names COMMAND and its reason" prints 'COMMAND' ctl quirks explain "$NIC"
check "map shows all of it" prints '^0x0e0 .*exp' ctl map "$NIC"

scenario reload-under-scan
check "a scan of the card begins in the guest" guest_do a "
	{ cfgprobe scan \$(config_of 8086:10d3) /tmp/stop $GAP; echo status=\$?; } >/tmp/scan 2>&1 </dev/null &"
wrong=0 unseen=0 good=0
for round in $(seq 100); do
	case $((round % 5)) in
		0) rm "$LOCAL/90-lab.json"; want=ok sees=0x00000000 ;;
		1) echo '{ "schema": 1, "quirks": [ { "id": }' >"$LOCAL/90-lab.json"; want=refused ;;
		2) quirk "0x1000$((1000 + round))"; sees=0x1000$((1000 + round)) want=ok ;;
		3) sed -i 's/"size": 4/"size": 3/' "$LOCAL/90-lab.json"; want=refused ;;
		4) quirk "0x2000$((1000 + round))"; sees=0x2000$((1000 + round)) want=ok ;;
	esac
	if ctl reload >/tmp/reload 2>&1; then said=ok; good=$((good + 1)); else said=refused; fi
	[ "$said" = "$want" ] || { wrong=$((wrong + 1)); note "round $round: $said: $(cat /tmp/reload)"; }
	[ $((round % 10)) -ne 4 ] && [ $((round % 10)) -ne 0 ] ||
		guest_sees "$sees" >/tmp/sees 2>&1 || { unseen=$((unseen + 1)); note "round $round: not $sees: $(cat /tmp/sees)"; }
done
check "each of 100 reloads was taken or refused as it should" [ "$wrong" -eq 0 ]
check "60 of them were good" [ "$good" -eq 60 ]
check "the guest saw each new rule that was looked for" [ "$unseen" -eq 0 ]
check "the scan ends" guest_do a 'touch /tmp/stop; within 10 grep -q status= /tmp/scan' 20
guest_do a 'cat /tmp/scan' >/tmp/scan
note "$(cat /tmp/scan)"
check "without a failed access, and nothing else changed" grep -q 'status=0' /tmp/scan
check "it went on meanwhile" [ "$(sed -n 's/.*accesses=\([0-9]*\).*/\1/p' /tmp/scan)" -gt 2000 ]
check "and saw the register change" [ "$(sed -n 's/.*changes_at=\([0-9]*\).*/\1/p' /tmp/scan)" -gt 20 ]
check "pings still come back" guest_do a 'ping_gateway 2' 30

scenario reload-keeps-the-old-on-error
quirk 0x12345678
check "dry run says what would change" prints 'lab-gap|0x40' ctl reload --dry-run
check "and changes nothing" guest_sees 0x00000000
check "SIGHUP reloads too" kill -HUP "$(daemon_pid)"
check "the guest sees it" within 10 guest_sees 0x12345678
daemon_config '{ "disable": ["intel-ahci-pcs"], "backend": { "busy_poll_us": "soon" } }'
check_fails "a bad configuration is refused" ctl reload
check "with its place" prints 'busy_poll_us' sh -c 'pcibackctl reload 2>&1; true'
check "the old rules stay" guest_sees 0x12345678
daemon_config '{ "disable": ["intel-ahci-pcs"] }'
rm "$LOCAL/90-lab.json"
check "a good one is taken" ctl reload
check "the rule is gone" guest_sees 0x00000000

scenario denied-suggest-reload-allowed
denied() { ctl --json denied "$SATA" | json_sum count; }
rebind='for d in /sys/bus/pci/drivers/ahci/0000:*; do a=${d##*/}; echo $a >/sys/bus/pci/drivers/ahci/unbind; done
	echo $a >/sys/bus/pci/drivers_probe; within 20 test -b /dev/sda && md5sum /dev/sda'
content=$(sed -n 's/^sata0 //p' /lab/disks)
check "guest b gets the disk controller" ctl attach b "$SATA" --claim --wait 30
check "its driver comes up and the disk reads right" \
	prints "^$content" guest_do b 'modprobe ahci; modprobe sd_mod; within 20 test -b /dev/sda; md5sum /dev/sda' 60
ctl denied "$SATA" >/tmp/denied; note "$(cat /tmp/denied)"
check "a write was denied" [ "$(denied)" -gt 0 ]
check "at the port control register" prints '0x92' cat /tmp/denied
check "a quirk is suggested" sh -c "pcibackctl suggest-quirk $SATA >$LOCAL/91-suggested.json"
note "$(cat "$LOCAL/91-suggested.json")"
check "it is valid" ctl quirks validate "$LOCAL"
check "it is loaded" ctl reload
before=$(denied)
check "the driver comes up again" prints "^$content" guest_do b "$rebind" 60
check "and nothing was denied any more" [ "$(denied)" -eq "$before" ]

scenario trace
check_fails "a device without the trace plugin has no trace" ctl trace "$NIC"
cat >"$LOCAL/92-trace.json" <<-END
	{ "schema": 1, "quirks": [ { "id": "lab-trace", "reason": "the lab looks", "source": "https://example.org/lab",
	  "match": { "vendor": "0x8086", "device": "0x10d3" }, "plugin": { "name": "trace", "registers": "all" } } ] }
END
check "the plugin is loaded under the live guest" ctl reload
guest_do a 'cfgprobe read $(config_of 8086:10d3) 0xc8 4' >/dev/null
check "an access of the guest is in the trace" prints 'c8' ctl trace "$NIC"
check "show names the plugin" prints 'trace' ctl show "$NIC"
rm "$LOCAL/92-trace.json"
check "it is taken away again" ctl reload
check_fails "and there is no trace" ctl trace "$NIC"
check "pings still come back" guest_do a 'ping_gateway 2' 30

scenario leaks
rm -f "$LOCAL/91-suggested.json"
check "detach" ctl detach a "$NIC"
check "detach" ctl detach b "$SATA"
check "release" ctl release "$NIC"
check "release" ctl release "$SATA"
check "the daemon stops" daemon_stop
check "guest a shuts down" guest_shutdown a
check "guest b shuts down" guest_shutdown b
check "nothing is left" nothing_left /tmp/before
exit 0
