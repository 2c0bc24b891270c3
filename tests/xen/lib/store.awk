# SPDX-License-Identifier: MIT
# Picks the nodes that a PCI backend may leave behind from the output of "xenstore-ls -fp /", one fact a line. Domain
# numbers in paths, values and permissions become names (names="0=Domain-0 ..."); one without a name is a dead domain's.
BEGIN {
	count = split(names, pairs, " ")
	for (i = 1; i <= count; i++) {
		split(pairs[i], pair, "=")
		name_of[pair[1]] = pair[2]
	}
}

function name(domid) { return domid in name_of ? name_of[domid] : "a-dead-domain" }

# Replace the number that ends each match of the pattern; its first "skip" characters stay.
function swap(text, pattern, skip,    out, domid) {
	out = ""
	while (match(text, pattern "[0-9]+")) {
		domid = substr(text, RSTART + skip, RLENGTH - skip)
		out = out substr(text, 1, RSTART + skip - 1) name(domid)
		text = substr(text, RSTART + RLENGTH)
	}
	return out text
}

# A backend's number comes after its kind, which is a word of any length.
function swap_backend(text,    head, rest, domid) {
	if (!match(text, /\/backend\/[a-z]+\/[0-9]+/)) return text
	head = substr(text, 1, RSTART + RLENGTH - 1)
	rest = substr(text, RSTART + RLENGTH)
	domid = head
	sub(/.*\//, "", domid)
	sub(/[0-9]+$/, "", head)
	return head name(domid) rest
}

# An empty folder for a kind of backend, or for a device that xl has seen, is one node for ever, whatever happened below
# it (libxl leaves them too, and takes them for nothing). The console's backend is xl's own.
/^\/libxl\/pci\/[^\/]* = ""/ { next }
/^\/local\/domain\/0\/backend\/[a-z]+ = ""/ || /^\/local\/domain\/0\/backend\/console/ { next }

/^\/local\/domain\/0\/(backend|error)\// || /^\/libxl\/pci\// || /^\/local\/domain\/[0-9]+\/device\/pci\// {
	if (/(pci-op-ref|event-channel) = /) sub(/ = "[0-9]+"/, " = a number")
	$0 = swap_backend(swap($0, "/local/domain/", 14))
	if (/(frontend-id|\/domid) = "/) $0 = swap($0, "= \"", 3)
	at = match($0, /\([nrwb][0-9]+[^)]*\)$/)
	if (at) $0 = substr($0, 1, at - 1) swap(substr($0, at), "[nrwb]", 1)
	print "store " $0
}
