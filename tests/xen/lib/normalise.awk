# SPDX-License-Identifier: MIT
# Turns the hypervisor's debug keys q, i, e, g and Q into one fact a line, in an order of its own making (sort it).
#
# Kept: who may touch which memory, ports and interrupts; how many MSIs exist and for whom; each event channel's kind
# and peer; each grant mapping; each device's owner. Dropped: what changes by itself (vectors, CPUs, counters, frames,
# MSI numbers, grant references, ports' own numbers) and domain numbers, which names replace (names="0=Domain-0 ...").
BEGIN {
	GSIS = 24                            # the emulated machine has one I/O APIC; numbers above are MSIs
	count = split(names, pairs, " ")
	for (i = 1; i <= count; i++) {
		split(pairs[i], pair, "=")
		name_of[pair[1]] = pair[2]
	}
}

function name(domid) { return domid in name_of ? name_of[domid] : "a-dead-domain" }

function braces() { match($0, /\{.*\}/); return substr($0, RSTART, RLENGTH) }

# "{ 1-23, 25-27 }" to the GSIs as they stand and the number of the others
function interrupts(set,    n, parts, range, low, high, gsis, msis, i) {
	gsub(/[{} ]/, "", set)
	n = split(set, parts, ",")
	msis = 0
	gsis = ""
	for (i = 1; i <= n; i++) {
		split(parts[i], range, "-")
		low = range[1] + 0
		high = parts[i] ~ /-/ ? range[2] + 0 : low
		if (high >= GSIS) {
			msis += high - (low > GSIS ? low : GSIS) + 1
			high = GSIS - 1
		}
		if (low <= high) gsis = gsis " " low "-" high
	}
	return "gsis:" gsis " msis: " msis
}

function value(key,    at, text) {
	at = index($0, " " key "=")
	if (!at) return ""
	text = substr($0, at + length(key) + 2)
	sub(/ .*/, "", text)
	return text
}

{ sub(/^\(XEN\) ?/, "") }

/^General information for domain/ { domain = name($5 + 0) }
/^    refcnt=.* dying=/ { print "domain " domain " dying=" value("dying") }
/^Rangesets belonging to domain/ { domain = name($5 + 0) }
/^    Interrupts \{/ { print "domain " domain " may use interrupts " interrupts(braces()) }
/^    I\/O Memory \{/ { print "domain " domain " may use memory " braces() }
/^    I\/O Ports  \{/ { print "domain " domain " may use ports " braces() }

# A GSI that is only set up says nothing about a guest (its rangeset does); who has bound it does.
/^   IRQ: / {
	owners = ""
	rest = $0
	while (match(rest, /d[0-9]+: *[0-9]+\(/)) {
		owner = substr(rest, RSTART + 1, RLENGTH - 2)
		rest = substr(rest, RSTART + RLENGTH)
		split(owner, part, ": *")
		owners = owners " " name(part[1] + 0)
	}
	if (/PCI-MSI/) tally["MSI vectors for" (owners ? owners : " nobody yet")]++
	else if (owners) print "interrupt " $2 " bound by" owners
}

/^Event channel information for domain/ { domain = name($6 + 0) }
/^ *[0-9]+ \[.*\]: s=/ {
	state = value("s")
	if (state == 2) kind = "unbound for " name(value("d"))
	else if (state == 3) kind = "to " name(value("d"))
	else if (state == 4) kind = value("p") < GSIS ? "pirq " value("p") : "pirq of an MSI"
	else if (state == 5) kind = "virq " value("v")
	else if (state == 6) kind = "ipi"
	else kind = "state " state
	tally["event channels of " domain " " kind]++
}

/^grant-table for remote d/ { domain = name(substr($4, 2) + 0) }
/^\[0x[0-9a-f]+\] / { tally["grants of " domain " mapped by " name($2 + 0) " pin " $4]++ }

# "0000:00:05.0 - d0 - node -1  - MSIs < 25 26 >"
/^[0-9a-f]+:[0-9a-f]+:[0-9a-f]+\.[0-7] - / {
	owner = $3
	if (owner ~ /^d[0-9]+$/) owner = name(substr(owner, 2) + 0)
	else if (owner ~ /^DomIO/ || owner ~ /IO\]?$/) owner = "quarantine"
	msis = 0
	if (match($0, /MSIs <.*>/)) msis = split(substr($0, RSTART + 6, RLENGTH - 7), unused, " ")
	print "device " $1 " owner " owner " msis " msis
}

END { for (key in tally) print key ": " tally[key] }
