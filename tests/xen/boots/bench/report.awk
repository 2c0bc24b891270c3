# SPDX-License-Identifier: MIT
#
# What was measured, as a table (form=table), as one line of JSON (form=json, schemas/bench.schema.json), as the goals that
# were missed (form=missed), or what is missing (form=missing; status 1 if anything is).
# Lines are "VARIANT METRIC VALUE", one a round; the median counts. "# KEY TEXT" says what it was measured on.

BEGIN {
	accesses = "ids status command vendor write_hardware write_shadow ids_alone scan_256 scan_4096"
	split(accesses, names)
	for (i = 1; i in names; i++)
		row(names[i] "_p50_us", names[i] "_p99_us")
	row("enumeration_ms")
	row("dom0_cpu_ids_ms")
	row("dom0_cpu_status_ms")
	row("idle_wakeups_per_s")

	text["ids_p50_us"] = "read, constant (ids)"
	text["status_p50_us"] = "read, live (STATUS)"
	text["command_p50_us"] = "read, partly live (COMMAND)"
	text["vendor_p50_us"] = "read, a vendor's register"
	text["write_hardware_p50_us"] = "write that reaches hardware"
	text["write_shadow_p50_us"] = "write that does not"
	text["ids_alone_p50_us"] = "a read now and then (ids)"
	text["scan_256_p50_us"] = "scan of 256 bytes"
	text["scan_4096_p50_us"] = "scan of 4096 bytes"
	text["enumeration_ms"] = "modprobe xen-pcifront to driver bound, ms"
	text["dom0_cpu_ids_ms"] = "dom0's CPU, ms per 1000 reads (ids)"
	text["dom0_cpu_status_ms"] = "dom0's CPU, ms per 1000 reads (STATUS)"
	text["idle_wakeups_per_s"] = "wake-ups per second when idle"

	# pcibackd : kernel, at most; of wake-ups the number itself
	goal["ids_p50_us"] = goal["status_p50_us"] = goal["command_p50_us"] = goal["vendor_p50_us"] = 0.40
	goal["write_hardware_p50_us"] = goal["write_shadow_p50_us"] = 0.45
	goal["scan_256_p50_us"] = 0.20
	goal["enumeration_ms"] = 0.70
	goal["dom0_cpu_ids_ms"] = goal["dom0_cpu_status_ms"] = 1.00
	goal["idle_wakeups_per_s"] = 0

	compare("pcibackd", "kernel")
	compare("pcibackd", "floor")
	compare("pcibackd", "floor_cycle")
	compare("pcibackd", "pcibackd_unpolled")
	compare("pcibackd_1cpu", "kernel_1cpu")
	compare("pcibackd_1cpu", "pcibackd_1cpu_unpolled")
	compare("beside_a_flood", "alone")
	compare("beside_a_loop", "alone")
}

function row(metric, also)
{
	metrics[++rows] = metric
	if (also)
		beside[metric] = also
}

function compare(one, other) { ours[++pairs] = one; theirs[pairs] = other }

/^# / {
	key = $2
	sub(/^# [^ ]+ /, "")
	about[++abouts] = key
	value_of[key] = $0
	next
}
NF == 3 {
	if (!(($1, $2) in count)) {
		if (!($1 in known)) {
			known[$1] = 1
			variants[++variant_count] = $1
		}
		measured[$1, ++measured_count[$1]] = $2
	}
	sample[$1, $2, ++count[$1, $2]] = $3 + 0
	if (count[$1, $2] > rounds)
		rounds = count[$1, $2]
}

function median(variant, metric,    n, i, j, x, v)
{
	n = count[variant, metric]
	for (i = 1; i <= n; i++) {
		x = sample[variant, metric, i]
		for (j = i - 1; j >= 1 && v[j] > x; j--)
			v[j + 1] = v[j]
		v[j + 1] = x
	}
	return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
}
function has(variant, metric) { return count[variant, metric] > 0 }
function ratio(one, other, metric) { return median(one, metric) / median(other, metric) }
function comparable(one, other, metric) { return has(one, metric) && has(other, metric) && median(other, metric) > 0 }
# The figure that a goal is about; "" if it was not measured.
function reached(metric)
{
	if (metric == "idle_wakeups_per_s")
		return has("pcibackd", metric) ? median("pcibackd", metric) : ""
	return comparable("pcibackd", "kernel", metric) ? ratio("pcibackd", "kernel", metric) : ""
}
function missed(metric) { return metric in goal && reached(metric) != "" && reached(metric) > goal[metric] }

# --- table ---

function figure(variant, metric,    s)
{
	if (!has(variant, metric))
		return "-"
	s = sprintf(median(variant, metric) < 10 ? "%.1f" : "%.0f", median(variant, metric))
	return metric in beside ? s sprintf(" (%.0f)", median(variant, beside[metric])) : s
}
function part(one, other, metric) { return comparable(one, other, metric) ? sprintf("%.2f", ratio(one, other, metric)) : "-" }
function table(    i, m)
{
	printf "%-42s %15s %15s %15s %9s %6s  %9s\n", "p50 (p99) in us, medians of " rounds " rounds", "kernel", "pcibackd",
		"floor", ": kernel", "goal", ": floor"
	for (i = 1; i <= rows; i++) {
		m = metrics[i]
		printf "%-42s %15s %15s %15s %9s %6s%1s %9s\n", text[m], figure("kernel", m), figure("pcibackd", m), figure("floor", m),
			part("pcibackd", "kernel", m), m in goal ? sprintf("%.2f", goal[m]) : "", missed(m) ? "!" : "",
			part("pcibackd", "floor", m)
	}
	print ""
	split("status write_hardware scan_256", live)
	printf "%-42s %15s %15s %15s %9s %17s\n", "what reaches hardware", "kernel", "pcibackd", "floor + cycle", "", ": floor + cycle"
	for (i = 1; i in live; i++) {
		m = live[i] "_p50_us"
		printf "%-42s %15s %15s %15s %9s %17s\n", text[m], figure("kernel", m), figure("pcibackd", m), figure("floor_cycle", m),
			"", part("pcibackd", "floor_cycle", m)
	}
	print ""
	split("ids status scan_256", few)
	printf "%-42s %15s %15s %15s %9s %17s\n", "all on one processor, p50 (p99) in us", "kernel", "pcibackd", "never polling", ": kernel",
		": never polling"
	for (i = 1; i in few; i++) {
		m = few[i] "_p50_us"
		printf "%-42s %15s %15s %15s %9s %17s\n", text[m], figure("kernel_1cpu", m), figure("pcibackd_1cpu", m),
			figure("pcibackd_1cpu_unpolled", m), part("pcibackd_1cpu", "kernel_1cpu", m),
			part("pcibackd_1cpu", "pcibackd_1cpu_unpolled", m)
	}
	print ""
	m = "status_p99_us"
	printf "a guest's p99 beside another that floods: %.0f us, alone %.0f us, ratio %s; beside one that only computes: %.0f us\n",
		median("beside_a_flood", m), median("alone", m), part("beside_a_flood", "alone", m), median("beside_a_loop", m)
}

# --- JSON ---

function quoted(s)
{
	gsub(/[\\"]/, "\\\\&", s)
	gsub(/[^ -~]/, "?", s)
	return "\"" s "\""
}
function number(x) { return sprintf("%.4g", x) + 0 >= 1000 ? sprintf("%.1f", x) : sprintf("%.4g", x) }
function members_of(v,    i, s)
{
	for (i = 1; i <= measured_count[v]; i++)
		s = s (i > 1 ? ", " : "") quoted(measured[v, i]) ": " number(median(v, measured[v, i]))
	return s
}
function ratios_of(one, other,    i, m, s)
{
	for (i = 1; i <= measured_count[one]; i++) {
		m = measured[one, i]
		if (comparable(one, other, m))
			s = s (s ? ", " : "") quoted(m) ": " number(ratio(one, other, m))
	}
	return s
}
function json(    i, s)
{
	s = "{ \"schema\": 1, \"rounds\": " rounds
	for (i = 1; i <= abouts; i++)
		s = s ", " quoted(about[i]) ": " quoted(value_of[about[i]])
	s = s ", \"medians\": { "
	for (i = 1; i <= variant_count; i++)
		s = s (i > 1 ? ", " : "") quoted(variants[i]) ": { " members_of(variants[i]) " }"
	s = s " }, \"ratios\": { "
	for (i = 1; i <= pairs; i++)
		s = s (i > 1 ? ", " : "") quoted(ours[i] ":" theirs[i]) ": { " ratios_of(ours[i], theirs[i]) " }"
	s = s " }, \"goals\": ["
	for (i = 1; i <= rows; i++) {
		if (metrics[i] in goal && reached(metrics[i]) != "")
			s = s (substr(s, length(s)) == "[" ? " " : ", ") "{ \"metric\": " quoted(metrics[i]) ", \"at_most\": " goal[metrics[i]] \
				", \"reached\": " number(reached(metrics[i])) ", \"met\": " (missed(metrics[i]) ? "false" : "true") " }"
	}
	print s " ] }"
}

# --- what must be there ---

function must_have(variant, metric)
{
	if (has(variant, metric))
		return
	print "not measured: " variant " " metric
	status = 1
}
function missing(    i, j, m)
{
	for (i = 1; i <= rows; i++) {
		m = metrics[i]
		must_have("kernel", m)
		must_have("pcibackd", m)
		if (m != "enumeration_ms" && m != "idle_wakeups_per_s")
			must_have("floor", m)
	}
	for (i = 1; i <= pairs; i++) {
		must_have(ours[i], "status_p99_us")
		must_have(theirs[i], "status_p99_us")
	}
}

END {
	if (form == "json")
		json()
	else if (form == "missing")
		missing()
	else if (form == "missed") {
		for (i = 1; i <= rows; i++) {
			m = metrics[i]
			if (missed(m))
				printf "missed: %s: %.2f, the goal is at most %.2f\n", text[m], reached(m), goal[m]
		}
	} else
		table()
	exit status
}
