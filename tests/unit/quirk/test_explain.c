/* SPDX-License-Identifier: MIT */
#include "quirk/explain.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "device.h"
#include "pci/regs.h"

static const char manifest[] =
    "{\"schema\":1,\"quirks\":["
    "{\"id\":\"first\",\"reason\":\"r1\",\"source\":\"s1\",\"match\":{\"vendor\":\"0x8086\"},"
    "\"fields\":[{\"at\":\"0x68\",\"size\":4,\"write\":\"0xff0000ff\",\"virtual\":\"0xff00\","
    "\"value\":\"0x1200\",\"name\":\"MISC\",\"why\":\"because\"}],"
    "\"device\":{\"msix_max_vectors\":2,\"no_reset\":[\"bus\",\"pm\"],\"class\":\"0x28000\"},"
    "\"capabilities\":{\"hide\":[\"pm\"],\"add\":[{\"at\":\"0x50\",\"id\":\"vendor\",\"bytes\":"
    "\"0800\"}]}},"
    "{\"id\":\"second\",\"reason\":\"r2\",\"source\":\"s2\",\"match\":{\"vendor\":\"0x8086\","
    "\"device\":\"0x10d3\"},\"fields\":[{\"at\":\"0x68\",\"size\":4,\"hw\":\"0x1\"}],"
    "\"plugin\":{\"name\":\"fake\",\"registers\":[{\"at\":\"0x80\",\"size\":2},"
    "{\"at\":\"0xffc\",\"size\":4,\"mask\":\"0x7f000100\"}]}},"
    "{\"id\":\"third\",\"reason\":\"r3\",\"source\":\"s3\",\"match\":{\"vendor\":\"0x8086\"},"
    "\"disabled\":true,\"unsafe\":true,\"device\":{\"msi\":\"deny\"}}]}";

static char dir[] = "/tmp/pcibackd-test-explain-XXXXXX";
static char path[100];
static struct pb_facts facts;
static struct pb_quirk_set *set;
static struct pb_profile *profile;

static void write_file(const char *name, const char *text)
{
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(close(fd), 0);
}

static int setup(void **state)
{
    static const struct pb_operator nothing_said;
    const char *const dirs[] = { dir }, *const plugin_dirs[] = { PB_FIXTURE_DIR };
    const struct pb_quirk_sources sources = { .dirs = dirs,
                                              .dir_count = 1,
                                              .plugin_dirs = plugin_dirs,
                                              .plugin_dir_count = 1,
                                              .any_owner = true };
    struct pb_layout layout;
    char why[300];

    (void)state;
    assert_non_null(mkdtemp(dir));
    write_file("notes.json", "");
    write_file("50-test.json", manifest);
    set = pb_quirk_set_load(&sources);
    assert_non_null(set);
    pb_test_e1000e(&facts);
    assert_int_equal(pb_layout_read(&facts, &layout), 0);
    if (pb_profile_build(set, &facts, &layout, &nothing_said, &profile, why, sizeof(why)) != 0)
        fail_msg("%s", why);
    return 0;
}

static int teardown(void **state)
{
    char command[100];

    (void)state;
    pb_profile_unref(profile);
    pb_quirk_set_unref(set);
    (void)snprintf(command, sizeof(command), "rm -rf %s", dir);
    return system(command);
}

/* VALUE, which it frees, is what EXPECTED says, with ' for " and FILE for the manifest. */
static void expect(json_t *value, const char *expected)
{
    char text[2000], *found = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    json_t *wanted;
    size_t n = 0;

    for (const char *p = expected; *p; p++) {
        if (strncmp(p, "FILE", 4) == 0) {
            n += (size_t)snprintf(text + n, sizeof(text) - n, "%s", path);
            p += 3;
        } else {
            text[n++] = *p == '\'' ? '"' : *p;
        }
    }
    text[n] = '\0';
    wanted = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(wanted);
    if (!json_equal(value, wanted))
        fail_msg("%s\nis not %s", found, text);
    free(found);
    json_decref(wanted);
    json_decref(value);
}

static json_t *part_of(const char *key)
{
    json_t *all = pb_explain(profile), *part;

    assert_non_null(all);
    part = json_incref(json_object_get(all, key));
    assert_non_null(part);
    json_decref(all);
    return part;
}

/* The element of a list whose KEY is TEXT. */
static json_t *element(const char *list, const char *key, const char *text)
{
    json_t *all = part_of(list), *found = NULL, *each;
    size_t i;

    json_array_foreach (all, i, each) {
        if (strcmp(json_string_value(json_object_get(each, key)), text) == 0 && !found)
            found = json_incref(each);
    }
    json_decref(all);
    if (!found)
        fail_msg("no %s %s in %s", key, text, list);
    return found;
}

static void a_device_is_introduced(void **state)
{
    (void)state;
    expect(part_of("size"), "4096");
    expect(part_of("ids"), "'8086:10d3'");
    expect(part_of("class"), "'0x020000'");
}

static void matching_quirks_stand_in_rising_precedence(void **state)
{
    (void)state;
    expect(
        part_of("quirks"),
        "[{'id':'first','file':'FILE','reason':'r1','source':'s1','match':'vendor','effect':null},"
        "{'id':'third','file':'FILE','reason':'r3','source':'s3','match':'vendor',"
        "'effect':'disabled'},"
        "{'id':'second','file':'FILE','reason':'r2','source':'s2','match':'device',"
        "'effect':null}]");
}

static void traits_are_written_as_in_a_manifest(void **state)
{
    (void)state;
    expect(part_of("traits"),
           "[{'name':'class','value':'0x028000','origin':'first','file':'FILE','reason':'r1'},"
           "{'name':'msix_max_vectors','value':'2','origin':'first','file':'FILE','reason':'r1'},"
           "{'name':'no_reset','value':'pm bus','origin':'first','file':'FILE','reason':'r1'}]");
}

static void capabilities_say_how_and_who(void **state)
{
    (void)state;
    expect(element("capabilities", "name", "pm"),
           "{'at':'0xc8','id':'0x01','name':'pm','extended':false,'how':'hidden','origin':'first',"
           "'file':'FILE','why':'r1'}");
    expect(element("capabilities", "name", "vendor"),
           "{'at':'0x50','id':'0x09','name':'vendor','extended':false,'how':'added',"
           "'origin':'first','file':'FILE','why':'r1'}");
    expect(element("capabilities", "name", "aer"),
           "{'at':'0x100','id':'0x0001','name':'aer','extended':true,'how':'own',"
           "'origin':'default','file':null,'why':'as the device lists it'}");
}

static void registers_name_the_origin_of_each_bit(void **state)
{
    (void)state;
    expect(element("registers", "at", "0x68"),
           "{'at':'0x68','size':4,'name':'MISC','effect':'none','parts':["
           "{'mask':'0x00000001','class':'hw','locked':'0x00000000','value':null,'origin':'second',"
           "'file':'FILE','why':'r2'},"
           "{'mask':'0xff0000fe','class':'write','locked':'0x00000000','value':null,"
           "'origin':'first','file':'FILE','why':'because'},"
           "{'mask':'0x0000ff00','class':'virtual','locked':'0x00000000','value':'0x00001200',"
           "'origin':'first','file':'FILE','why':'because'},"
           "{'mask':'0x00ff0000','class':'hw','locked':'0x00000000','value':null,"
           "'origin':'default','file':null,'why':'no rule names these bits'}]}");
    expect(part_of("plugins"),
           "[{'name':'fake','quirk':'second','bytes':4,'ranges':["
           "{'at':'0x80','mask':'ffff'},{'at':'0xffd','mask':'01'},{'at':'0xfff','mask':'7f'}]}]");
}

static unsigned number_at(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    assert_non_null(text);
    return (unsigned)strtoul(text, NULL, 16);
}

/* The bits of a class in a register of the map; HW is what is in none of the others. */
static uint32_t bits_of(const char *class, unsigned at, unsigned size)
{
    const struct pb_map *map = profile->map;

    if (strcmp(class, "write") == 0)
        return pb_le_get(map->write + at, size);
    if (strcmp(class, "w1c") == 0)
        return pb_le_get(map->w1c + at, size);
    if (strcmp(class, "virtual") == 0)
        return pb_le_get(map->virt + at, size);
    if (strcmp(class, "fixed") == 0)
        return pb_le_get(map->fixed + at, size);
    assert_string_equal(class, "hw");
    return pb_ones(size) & ~(bits_of("write", at, size) | bits_of("w1c", at, size) |
                             bits_of("virtual", at, size) | bits_of("fixed", at, size));
}

static void all_parts_together_are_the_map(void **state)
{
    bool told[PB_CONFIG_SIZE_PCIE] = { false };
    json_t *registers = part_of("registers"), *reg, *part;
    size_t i, n;

    (void)state;
    json_array_foreach (registers, i, reg) {
        unsigned at = number_at(reg, "at");
        unsigned size = (unsigned)json_integer_value(json_object_get(reg, "size"));
        uint32_t seen = 0;

        json_array_foreach (json_object_get(reg, "parts"), n, part) {
            const char *class = json_string_value(json_object_get(part, "class"));
            uint32_t mask = number_at(part, "mask");

            assert_int_equal(mask & seen, 0);
            assert_int_equal(mask & ~bits_of(class, at, size), 0);
            assert_int_equal(number_at(part, "locked"),
                             pb_le_get(profile->map->lock + at, size) & mask);
            seen |= mask;
        }
        assert_int_equal(seen, pb_ones(size));
        for (n = 0; n < size; n++) {
            assert_false(told[at + n]);
            told[at + n] = true;
        }
    }
    for (i = 0; i < PB_CONFIG_SIZE_PCIE; i++) {
        if (!told[i])
            assert_int_equal(bits_of("hw", (unsigned)i, 1), 0xff);
    }
    json_decref(registers);
}

/* The origin of the byte AT in a picture. */
static const char *origin_at(const json_t *map, size_t at)
{
    json_t *runs = json_object_get(map, "origin_of"), *run;
    size_t i, end = 0;

    json_array_foreach (runs, i, run) {
        end += (size_t)json_integer_value(json_array_get(run, 0));
        if (at < end)
            return json_string_value(
                json_array_get(json_object_get(map, "origins"),
                               (size_t)json_integer_value(json_array_get(run, 1))));
    }
    return NULL;
}

static void a_picture_has_a_letter_and_an_origin_for_each_byte(void **state)
{
    static const struct {
        unsigned at;
        char letter;
        const char *origin;
    } bytes[] = {
        { 0x00, 'f', "header" },
        { PCI_COMMAND, 'm', "header" },
        { PCI_CACHE_LINE_SIZE, 'w', "header" },
        { PCI_BAR0, 'v', "header" },
        { 0x44, 'h', "default" },
        { 0x68, 'm', "second" },
        { 0x69, 'v', "first" },
        { 0x6a, 'h', "default" },
        { 0x6b, 'w', "first" },
        { 0x80, 'p', "second" },
        { 0x82, 'h', "default" },
        { E1000E_PM, '.', "first" },
        { 0x50, 'f', "first" },
        { 0xffc, 'h', "default" },
    };
    json_t *map = pb_explain_map(profile);
    const char *classes;

    (void)state;
    assert_non_null(map);
    classes = json_string_value(json_object_get(map, "classes"));
    assert_int_equal(json_integer_value(json_object_get(map, "size")), 4096);
    assert_int_equal(strlen(classes), 4096);
    for (unsigned i = 0; i < PB_ARRAY_SIZE(bytes); i++) {
        if (classes[bytes[i].at] != bytes[i].letter)
            fail_msg("0x%x is %c", bytes[i].at, classes[bytes[i].at]);
        assert_string_equal(origin_at(map, bytes[i].at), bytes[i].origin);
    }
    assert_non_null(origin_at(map, 4095));
    assert_null(origin_at(map, 4096));
    json_decref(map);
}

static void a_set_lists_quirks_problems_and_files(void **state)
{
    char warning[300];
    json_t *all = pb_explain_set(set);

    (void)state;
    assert_non_null(all);
    expect(json_incref(json_object_get(all, "files")), "1");
    (void)snprintf(
        warning, sizeof(warning),
        "[{'error':false,'file':'%s/notes.json','text':'%s/notes.json: is ignored: a manifest is "
        "named NN-NAME.json'}]",
        dir, dir);
    expect(json_incref(json_object_get(all, "problems")), warning);
    assert_int_equal(json_array_size(json_object_get(all, "quirks")), 3);
    expect(json_incref(json_array_get(json_object_get(all, "quirks"), 0)),
           "{'id':'first','file':'FILE','reason':'r1','source':'s1','match':'vendor',"
           "'disabled':false,'unsafe':false,'plugin':null,'fields':1,'cap_edits':2,"
           "'traits':['class','msix_max_vectors','no_reset']}");
    expect(json_incref(json_array_get(json_object_get(all, "quirks"), 1)),
           "{'id':'third','file':'FILE','reason':'r3','source':'s3','match':'vendor',"
           "'disabled':true,'unsafe':true,'plugin':null,'fields':0,'cap_edits':0,"
           "'traits':['msi']}");
    json_decref(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_is_introduced),
        cmocka_unit_test(matching_quirks_stand_in_rising_precedence),
        cmocka_unit_test(traits_are_written_as_in_a_manifest),
        cmocka_unit_test(capabilities_say_how_and_who),
        cmocka_unit_test(registers_name_the_origin_of_each_bit),
        cmocka_unit_test(all_parts_together_are_the_map),
        cmocka_unit_test(a_picture_has_a_letter_and_an_origin_for_each_byte),
        cmocka_unit_test(a_set_lists_quirks_problems_and_files),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
