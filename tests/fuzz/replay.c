/* SPDX-License-Identifier: MIT */
/* Runs a fuzz target over the files named on the command line; none is an error. */
#include <stdio.h>

#include "fuzz.h"

int main(int argc, char **argv)
{
    static uint8_t data[65536];

    if (argc < 2) {
        (void)fprintf(stderr, "no inputs: a corpus that is empty proves nothing\n");
        return 1;
    }
    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        size_t size;

        if (!file) {
            perror(argv[i]);
            return 1;
        }
        size = fread(data, 1, sizeof(data), file);
        (void)fclose(file);
        (void)LLVMFuzzerTestOneInput(data, size);
    }
    (void)printf("%d inputs\n", argc - 1);
    return 0;
}
