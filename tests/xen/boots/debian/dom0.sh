# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# shellcheck source=../../lib/dom0.sh
. /lab/dom0.sh
NIC=0000:00:05.0
OTHER=0000:00:06.0
scenario boot-claims-before-native-driver
check "driver" [ "$(pci_driver "$NIC")" = pci-stub ]
check "driver" [ "$(pci_driver "$OTHER")" = e1000e ]
ls -la /run/pcibackd-boot >/var/log/x.log 2>&1
cat /lab/update-initramfs.txt >>/var/log/x.log
dmesg >/var/log/dmesg.log
journalctl -b -o short-monotonic >/var/log/journal.log
systemd-analyze blame >/var/log/blame.log
systemd-analyze critical-chain lab.service  >>/var/log/blame.log
systemctl --failed >>/var/log/blame.log
ctl list >/var/log/list.log
sleep 2
exit 0
