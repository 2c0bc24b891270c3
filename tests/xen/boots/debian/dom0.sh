# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# shellcheck source=../../lib/dom0.sh
. /lab/dom0.sh
NIC=0000:00:05.0
OTHER=0000:00:06.0
OTHER_MODEL=0000:00:04.0
ABSENT=0000:00:09.0

dmesg >/var/log/kernel.log
journalctl -b -o short-monotonic --no-hostname >/var/log/journal.log
systemd-analyze blame >/var/log/blame.log
cp /lab/update-initramfs.txt /var/log/update-initramfs.log
ctl list

# tried DRIVER DEVICE: the kernel has offered this device to this driver
tried() { dmesg | grep -qE "really_probe: probing driver $1 with device $2"; }
override() { cat "/sys/bus/pci/devices/$1/driver_override"; }

scenario boot-claims-before-native-driver
in_ramdisk() { lsinitramfs /boot/initrd.img-* >/tmp/ramdisk && grep -q "$1" /tmp/ramdisk; }
check "the native driver is in the initial ramdisk" in_ramdisk /e1000e.ko
check "so are the rules" in_ramdisk lib/udev/rules.d/10-pcibackd.rules
check "the kernel gave the other card to the native driver" tried e1000e "$OTHER"
before_root() { dmesg | awk '/probing driver e1000e/ { early = 1 } /EXT4-fs \(vd[a-z]\): mounted/ { exit !early }'; }
check "before there was a root file system" before_root
check_fails "but never the configured card" tried e1000e "$NIC"
check "it is the daemon's" device_is 'claimed|assigned' "$NIC"
check "by the stub driver" [ "$(pci_driver "$NIC")" = pci-stub ]
check "as one that had no override before" [ -e "/run/pcibackd-boot/$NIC" ]
check "the other card has its driver" [ "$(pci_driver "$OTHER")" = e1000e ]
check "which works" host_ping "$OTHER" 1
check "and no override" [ "$(override "$OTHER")" = '(null)' ]

scenario wrong-address-is-reported
check "the boot went on" systemctl is-active multi-user.target
check "the log says it" prints "$ABSENT: .*not in the machine" journalctl -b -u pcibackd
check "so does the daemon" device_is absent "$ABSENT"
check "another model at a listed address has its driver" [ "$(pci_driver "$OTHER_MODEL")" = e1000 ]
check "and no override" [ "$(override "$OTHER_MODEL")" = '(null)' ]
check "which is said, with both identities" prints '8086:1533.*8086:100e|8086:100e.*8086:1533' pcibackctl show "$OTHER_MODEL"
check "update-initramfs had nothing to say of it" not grep -i pcibackd /lab/update-initramfs.txt
hook() { DESTDIR=/tmp/initramfs /usr/share/initramfs-tools/hooks/pcibackd; }
check "the hook says nothing" [ -z "$(hook 2>&1)" ]
check "and makes the rules" grep -q "$NIC" /tmp/initramfs/lib/udev/rules.d/10-pcibackd.rules
rm -rf /tmp/initramfs
cp /etc/pcibackd.json /tmp/good.json
echo '{ "slots": [ "0000:00:05" ] }' >/etc/pcibackd.json
check "a bad configuration is a warning of the hook" prints '^W: pcibackd: ' hook
check "and no rules" not ls -R /tmp/initramfs
check_fails "the unit for hosts without the hook fails" systemctl start pcibackd-boot
check "and leaves no rules" not [ -e /run/udev/rules.d/10-pcibackd.rules ]
cp /tmp/good.json /etc/pcibackd.json
check "with a good one it makes them" systemctl restart pcibackd-boot
check "where udev looks" grep -q "$NIC" /run/udev/rules.d/10-pcibackd.rules
udevadm test "/sys/bus/pci/devices/$OTHER" >/tmp/udevadm.txt 2>&1
check "udev reads all of contrib's rules" [ "$(grep -c 'Reading rules file: .*pcibackd' /tmp/udevadm.txt)" = 2 ]
check "and finds nothing wrong with them" not grep 'pcibackd.*rules:' /tmp/udevadm.txt
check "and takes them away again" systemctl stop pcibackd-boot
check "which it does" not [ -e /run/udev/rules.d/10-pcibackd.rules ]

scenario service-order
moment() { systemctl show -p "$1" --value "$2"; }
active() { moment ActiveEnterTimestampMonotonic "$1"; }
starts() { moment InactiveExitTimestampMonotonic "$1"; }
check "xenstored was up before the daemon was started" [ "$(active xen)" -le "$(starts pcibackd)" ]
check "the daemon was ready before the guests were started" [ "$(active pcibackd)" -le "$(starts xendomains)" ]
check "contrib's units are sound" systemd-analyze verify --man=no /lib/systemd/system/pcibackd*.service
check "no unit failed" prints '^0 loaded' systemctl --failed
xl domid auto >"$LAB_RUN/auto.domid"
check "the guest of /etc/xen/auto is up" guest_wait_ready auto
check "and has its device" within 30 device_is assigned "$NIC"
check "which works" guest_do auto 'nic_up e1000e && ping_gateway 2' 60
check "a reload is taken" systemctl reload pcibackd
check "the guest has noticed nothing" guest_do auto 'ping_gateway 2' 60
check "the guest ends" guest_destroy auto
check "and its device is free" within 30 device_is claimed "$NIC"
check "the daemon restarts" systemctl restart pcibackd
check "and has its device again" within 30 device_is claimed "$NIC"
systemctl kill -s KILL pcibackd
check "one that dies is started again" within 20 ctl list
check "and has its device again" within 30 device_is claimed "$NIC"

scenario vif-and-vbd
check "the kernel gives no backend to a driver by itself" [ "$(cat /sys/bus/xen-backend/drivers_autoprobe)" = 0 ]
modprobe xen-pciback
snapshot /tmp/before
modprobe bridge
ip link add xenbr0 type bridge
ip addr add 10.3.0.1/24 dev xenbr0
ip link set xenbr0 up
disk=$(basename /sys/bus/pci/devices/0000:00:07.0/virtio*/block/*)
check "a guest with network and disk comes up" guest_start one pv 192 "vif = [ 'bridge=xenbr0' ]" "disk = [ 'phy:/dev/$disk,xvda,r' ]"
check "the kernel serves its network" [ -e "/sys/bus/xen-backend/devices/vif-$(guest_id one)-0/driver" ]
check "and its disk" [ -e "/sys/bus/xen-backend/devices/vbd-$(guest_id one)-51712/driver" ]
vif_up='modprobe xen-netfront; modprobe xen-blkfront; ip link set eth0 up; ip addr add 10.3.0.2/24 dev eth0'
check "its network works" guest_do one "$vif_up; within 20 ping -c 1 -W 1 10.3.0.1 && ping -c 5 -i 0.3 10.3.0.1" 40
sum=$(sed -n 's/^vbd //p' /lab/disks)
check "its disk is the disk" guest_do one "within 20 [ -b /dev/xvda ]; [ \"\$(md5sum </dev/xvda)\" = \"$sum  -\" ]" 60
check "xl gives it a PCI device, too" xl pci-assignable-add "$OTHER"
check "which the daemon serves" xl pci-attach one "$OTHER"
check "the kernel keeps away" not [ -e "/sys/bus/xen-backend/devices/pci-$(guest_id one)-0/driver" ]
check "the device works" guest_do one 'nic_up e1000e && ping_gateway 2' 60
check "the guest gives it back" xl pci-detach one "$OTHER"
check "and ends" guest_destroy one
check "the other card goes back" xl pci-assignable-remove -r "$OTHER"
ip link del xenbr0

scenario leaks
check "nothing is left" nothing_left /tmp/before 15

scenario release-restores
check "the card is released" ctl release "$NIC"
check "the override is gone" [ "$(override "$NIC")" = '(null)' ]
check "the kernel has chosen the native driver" [ "$(pci_driver "$NIC")" = e1000e ]
check "which works" host_ping "$NIC" 2
journalctl -b -u pcibackd -o short-monotonic --no-hostname >/var/log/pcibackd.log
dmesg >/var/log/kernel.log
exit 0
