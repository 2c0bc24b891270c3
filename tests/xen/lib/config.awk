# SPDX-License-Identifier: MIT
# One line a device from "BDF driver override enable hex-bytes...": what its next owner finds in config space.
function byte(at,    c, high, low) {
	c = $(at + 5)
	high = index("0123456789abcdef", substr(c, 1, 1)) - 1
	low = index("0123456789abcdef", substr(c, 2, 1)) - 1
	return high * 16 + low
}

function word(at) { return sprintf("%04x", byte(at + 1) * 256 + byte(at)) }

{
	line = "pci " $1 " driver=" $2 " override=" $3 " enable=" $4 " command=" word(4) " cacheline=" byte(12)
	at = int(byte(6) / 16) % 2 ? byte(52) : 0      # status says whether there is a capability list
	for (left = 48; at >= 64 && left > 0; left--) {
		if (byte(at) == 1) line = line " power=" byte(at + 4) % 4
		if (byte(at) == 5) line = line " msi=" byte(at + 2) % 2
		if (byte(at) == 17) line = line " msix=" int(byte(at + 3) / 64)    # 2 enabled, 1 all masked
		at = byte(at + 1)
	}
	print line
}
