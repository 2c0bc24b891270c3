# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# shellcheck source=../../lib/dom0.sh
. /lab/dom0.sh
E1000=0000:00:04.0
NIC=0000:00:05.0
OTHER=0000:00:06.0
PORT=0000:00:07.0
HOT=0000:01:00.0
ABSENT=0000:00:1d.3
PCI=/sys/bus/pci/devices
SAVED=/etc/pcibackd.d/90-slots.json

modprobe pci-stub
# A card that is found anew comes up with another COMMAND than after power-on.
echo 1 >"$PCI/$E1000/remove"
echo 1 >/sys/bus/pci/rescan
host_bind "$NIC" e1000e                # takes the other one, too
host_bind "$E1000" e1000
mkdir -p /etc/pcibackd.d
echo '{ "limits": { "guests": 64 } }' >/etc/pcibackd.d/10-other.json
snapshot /tmp/before
guest_create a pv 192
guest_wait_ready a
slots() { ctl slot list; }
override() { cat "$PCI/$1/driver_override"; }
gone() { [ ! -e "$PCI/$1" ]; }
# as_saved SLOT...: the file holds these and nothing else
as_saved() {
	local want='' slot
	for slot; do want="$want${want:+,}\"$slot\""; done
	cat "$SAVED"
	[ "$(tr -d ' \n\t' <"$SAVED")" = "{\"slots\":[$want]}" ]
}
# refused WORD COMMAND...: exit status 1, one line, and the line has the word
refused() {
	local word=$1 status
	shift
	"$@" >/tmp/refused 2>&1
	status=$?
	cat /tmp/refused
	[ "$status" -eq 1 ] && [ "$(wc -l </tmp/refused)" -eq 1 ] && grep -q -- "$word" /tmp/refused
}

scenario slots-of-the-configuration
daemon_config '{ "slots": [ "0000:00:05.0", "0000:02:00.*" ] }'
cp /etc/pcibackd.json /tmp/
check "the daemon starts" daemon_start || exit 1
check "what is listed is claimed" within 30 device_is claimed "$NIC"
check "what is not listed is not" [ "$(pci_driver "$OTHER")" = e1000e ]
check "the list has it" prints '0000:00:05\.0' slots
check "and the one that is not there" prints '0000:02:00\.\*' slots
check "which is refused to be removed" refused 'configuration' ctl slot remove 0000:00:05.0

scenario slot-add-and-save
check "another slot" ctl slot add 00:06.0
check "is claimed" within 15 device_is claimed "$OTHER"
check "and listed with its domain" prints '0000:00:06\.0' slots
check "nothing was saved" [ ! -e "$SAVED" ]
for text in 00:06 0000:00:06.8 0000:00:20.0 '0000:00:*.1' ' 00:06.0' 00:06.0x ''; do
	check_fails "'$text' is no slot" ctl slot add "$text"
done
check "twice is as good as once" ctl slot add 0000:00:06.0
check "the list has it once" [ "$(slots | grep -c '00:06\.0')" -eq 1 ]
check "a star, saved" ctl slot add '0000:03:00.*' --save
check "the file has what was asked to be saved" as_saved '0000:03:00.*'
check "another, saved" ctl slot add 0000:00:04.0 --save
check "the file has both" as_saved '0000:03:00.*' 0000:00:04.0
check "the configuration is as it was" cmp /etc/pcibackd.json /tmp/pcibackd.json
check "so is the other file" [ "$(cat /etc/pcibackd.d/10-other.json)" = '{ "limits": { "guests": 64 } }' ]
check "and there is no third" [ "$(echo /etc/pcibackd.d/*)" = '/etc/pcibackd.d/10-other.json /etc/pcibackd.d/90-slots.json' ]
check "a reload" ctl reload
check "keeps what was added" prints '0000:00:06\.0' slots
check "the daemon stops" daemon_stop
check "and starts" daemon_start
check "what was saved is listed" prints '0000:03:00\.\*' slots
check_fails "what was not saved is not" prints '0000:00:06\.0' slots
check "the saved one is claimed" within 15 device_is claimed "$E1000"
check "one goes for good" ctl slot remove '0000:03:00.*' --save
check "the file has the other" as_saved 0000:00:04.0
check "the other goes for good" ctl slot remove 0000:00:04.0 --save
check "and so does the file" [ ! -e "$SAVED" ]
check "a device stays claimed when its slot goes" device_is claimed "$E1000"
check "what is not listed cannot be removed" refused '0000:09:00.0' ctl slot remove 0000:09:00.0
for device in $E1000 $OTHER; do check "release $device" within 15 ctl release "$device"; done
check "the host's driver is back" within 10 driver_is e1000 "$E1000"
check "on the other, too" within 10 driver_is e1000e "$OTHER"

scenario hot-added
# Its native driver is loaded and faster: the kernel binds it before anybody else hears of the device.
echo 1 >"$PCI/$E1000/remove"
check "the card is gone" gone "$E1000"
check "its slot is listed" ctl slot add "$E1000"
check "the device is absent" device_is absent "$E1000"
begun=$(_uptime)
echo 1 >/sys/bus/pci/rescan
check "it comes and is claimed" within 15 device_is claimed "$E1000"
note "hot-added at $begun, claimed at $(_uptime) s"
check "the stub driver has it" [ "$(pci_driver "$E1000")" = pci-stub ]
check "the guest gets it" ctl attach a "$E1000" --wait 30
check "and works" guest_do a 'nic_up e1000 && ping_gateway 2' 60
check "it comes back" ctl detach a "$E1000"
echo 1 >"$PCI/$E1000/remove"
check "gone again, it is absent" within 15 device_is absent "$E1000"
echo 1 >/sys/bus/pci/rescan
check "back again, it is claimed" within 15 device_is claimed "$E1000"
check "the slot goes" ctl slot remove "$E1000"
check "release" ctl release "$E1000"
check "the host's driver is back" within 10 driver_is e1000 "$E1000"

scenario H1-hot-added-under-a-port
check "the slot is listed" ctl slot add "$HOT"
check "the device is absent" device_is absent "$HOT"
check "it comes" qemu 'device_add e1000e,bus=rp0,id=hot0,netdev=n3'
check "dom0 sees it" within 20 [ -e "$PCI/$HOT" ]
sleep 1
check "it may be pulled: it is not claimed" device_is present "$HOT"
check "and the reason is told" prints "$PORT" ctl why "$HOT"
note "$(ctl why "$HOT" 2>&1 | tr '\n' '|')"
check "forced, it is claimed" ctl claim "$HOT" --force
check "it is" device_is claimed "$HOT"
check "the card is pulled" qemu 'device_del hot0'
check "it is absent" within 30 device_is absent "$HOT"
check "the slot goes" ctl slot remove "$HOT"

scenario unbound-is-taken-back
check "the card is claimed" device_is claimed "$NIC"
echo "$NIC" >/sys/bus/pci/drivers/pci-stub/unbind
check "somebody unbinds it: it is taken back" within 10 driver_is pci-stub "$NIC"
check "and claimed" within 10 device_is claimed "$NIC"
check "the log says so" grep -q "$NIC.*unbound" "$DAEMON_LOG"
check "the guest gets it" ctl attach a "$NIC" --wait 30
check "and works" guest_do a 'nic_up e1000e && ping_gateway 2' 60
check "it comes back" ctl detach a "$NIC"

scenario stolen
modprobe xen-pciback
echo pciback >"$PCI/$NIC/driver_override"
echo "$NIC" >/sys/bus/pci/drivers/pci-stub/unbind
echo "$NIC" >/sys/bus/pci/drivers_probe
check "another driver has it" within 10 driver_is pciback "$NIC"
check "it is failed" within 10 device_is failed "$NIC"
check "the cause is told" prints 'stolen.*pciback' ctl show "$NIC"
note "$(ctl why "$NIC" 2>&1 | tr '\n' '|')"
check "it is given to nobody" refused "$NIC" ctl attach a "$NIC"
check "the thief keeps it" driver_is pciback "$NIC"
check "it is released" ctl release "$NIC"
check "to the driver that it had" within 10 driver_is e1000e "$NIC"
check "and works there" host_ping "$NIC" 2
setpci -s "$NIC" COMMAND=101:101        # the thief gave it back as it had found it: quiet
rmmod xen-pciback

scenario killed-between-claim-and-release
was=$(override "$OTHER")
check "claim" ctl claim "$OTHER"
check "the stub driver has it" [ "$(pci_driver "$OTHER")" = pci-stub ]
daemon_kill
daemon_config '{}'
check "another daemon starts" daemon_start
check "it knows of the device" within 15 device_is claimed "$OTHER"
check "and of the driver before" prints '"driver_before": *"e1000e"' ctl --json show "$OTHER"
check "release" ctl release "$OTHER"
check "the host's driver is back" within 10 driver_is e1000e "$OTHER"
check "the override is what it was" [ "$(override "$OTHER")" = "$was" ]
check "and it works" host_ping "$OTHER" 2
echo e1000e >"$PCI/$OTHER/driver_override"
check "an override of the operator's" ctl claim "$OTHER"
daemon_kill
check "another daemon starts" daemon_start
check "release" within 15 ctl release "$OTHER"
check "survives" [ "$(override "$OTHER")" = e1000e ]
echo >"$PCI/$OTHER/driver_override"

scenario driver-none
daemon_config '{ "devices": [ { "bdf": "'$NIC'", "driver": "none" }, { "bdf": "'$OTHER'", "driver": "pciback" } ] }'
check "the configuration" ctl reload
check "claim" ctl claim "$NIC"
check "no driver has it" [ "$(pci_driver "$NIC")" = none ]
echo "$NIC" >/sys/bus/pci/drivers_probe 2>/dev/null
check "nor gets it" [ "$(pci_driver "$NIC")" = none ]
check "the guest gets it" ctl attach a "$NIC" --wait 30
check "and works" guest_do a 'nic_up e1000e && ping_gateway 2' 60
check "by MSI-X" guest_do a '[ "$(vectors msi-x eth)" -ge 2 ]'
check "it comes back" ctl detach a "$NIC"
check "release" ctl release "$NIC"
check "the host's driver is back" within 10 driver_is e1000e "$NIC"

scenario driver-pciback
check "without the module there is no such driver" refused pciback ctl claim "$OTHER"
check "the host's driver still has it" within 10 driver_is e1000e "$OTHER"
modprobe xen-pciback
check "with it, claim" ctl claim "$OTHER"
check "that driver has it" [ "$(pci_driver "$OTHER")" = pciback ]
check "the guest gets it" ctl attach a "$OTHER" --wait 30
check "and works" guest_do a 'nic_up e1000e && ping_gateway 2' 60
check "by MSI-X" guest_do a '[ "$(vectors msi-x eth)" -ge 2 ]'
check "it comes back" ctl detach a "$OTHER"
check "release" ctl release "$OTHER"
check "the host's driver is back" within 10 driver_is e1000e "$OTHER"
rmmod xen-pciback
daemon_config '{}'
check "the configuration" ctl reload

scenario guest-dies-in-the-middle
guest_start dying pv 192
check "claim" ctl claim "$NIC"
xl pause dying
ctl attach dying "$NIC" --wait 30 >/tmp/dying.out 2>&1 &
attaching=$!
sleep 1
check "the guest dies" xl destroy dying
wait "$attaching"
check "the attach fails" [ $? -eq 1 ]
check "in one line" [ "$(wc -l </tmp/dying.out)" -eq 1 ]
note "$(cat /tmp/dying.out)"
check "no domain is left" guest_gone dying
check "the device is claimed" within 15 device_is claimed "$NIC"
check "and good for another guest" ctl attach a "$NIC" --wait 30

scenario bad-input
check "attach of a device that is not claimed" refused "$OTHER" ctl attach a "$OTHER"
check "the other card is still the host's" driver_is e1000e "$OTHER"
check "claim" ctl claim "$OTHER"
ctl claim "$PORT" >/dev/null 2>&1       # from now on it is listed as present, with the reason why it was refused
check "the guest uses its card" guest_do a 'nic_up e1000e && ping_gateway 1' 60
# The state of everything before and after: nothing of this may change anything.
ctl --json list >/tmp/list.before
for verb in claim release 'attach a' 'detach a' reset why show; do
	# shellcheck disable=SC2086
	check "$verb of an absent device" refused "$ABSENT" ctl $verb "$ABSENT"
	# shellcheck disable=SC2086
	check "$verb of a name that nothing has" refused nobody ctl $verb nobody
done
check "claim of a bridge" refused "$PORT" ctl claim "$PORT"
check "attach of a bridge" refused "$PORT" ctl attach a "$PORT" --claim
check "detach of a device that no guest has" refused "$OTHER" ctl detach a "$OTHER"
check "attach of a device that the guest has" refused "$NIC" ctl attach a "$NIC"
check "release of a device that a guest has" refused "$NIC" ctl release "$NIC"
check "reset of a device that a guest has" refused "$NIC" ctl reset "$NIC"
for guest in 99 nosuch 0 32752; do
	check "attach to guest $guest" refused "$guest" ctl attach "$guest" "$OTHER"
	check "detach from guest $guest" refused "$guest" ctl detach "$guest" "$NIC"
done
check "attach to the host by name" refused 'domain 0' ctl attach Domain-0 "$OTHER"
ctl --json list >/tmp/list.after
check "nothing has changed" diff -U 1 /tmp/list.before /tmp/list.after
check "release" ctl release "$OTHER"
check "the guest's works on" guest_do a 'nic_up e1000e && ping_gateway 2' 60

scenario leaks
check "detach" ctl detach a "$NIC"
check "release" ctl release "$NIC"
check "guest a goes" guest_destroy a
check "the daemon stops" daemon_stop
check "nothing is left" nothing_left /tmp/before
exit 0
