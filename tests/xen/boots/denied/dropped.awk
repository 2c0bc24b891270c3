# Writes that the kernel's backend dropped, by device: those that no field of its own overlaps. First file: its `quirks`
# attribute, which lists every field of every device. Then the kernel's log with its debug line for each write.
function hex(text,    n, i) {
	n = 0
	text = tolower(text)
	for (i = 1; i <= length(text); i++)
		n = n * 16 + index("0123456789abcdef", substr(text, i, 1)) - 1
	return n
}
FNR == 1 { part++ }
part == 1 && /^[0-9a-f][0-9a-f]:/ { device = "0000:" $1 }
part == 1 && /^\t\t/ {
	split($1, field, ":")
	for (i = 0; i < field[2] + 0; i++)
		handled[device, hex(field[1]) + i] = 1
	known[device] = 1
}
part == 2 && match($0, /pciback [0-9a-f:.]+: xen-pciback: write request [0-9]+ bytes at 0x[0-9a-f]+/) {
	split(substr($0, RSTART, RLENGTH), word, " ")
	device = word[2]
	sub(/:$/, "", device)
	at = hex(substr(word[9], 3))
	hit = 0
	for (i = 0; i < word[6] + 0; i++)
		hit = hit || ((device, at + i) in handled)
	writes[device]++
	if (!hit) {
		dropped[device]++
		places[device, sprintf("0x%x", at)]++
	}
}
END {
	for (device in known) {
		list = ""
		for (key in places) {
			split(key, pair, SUBSEP)
			if (pair[1] == device)
				list = list " " pair[2] "*" places[key]
		}
		printf "%s %d %d%s\n", device, writes[device], dropped[device], list
	}
}
