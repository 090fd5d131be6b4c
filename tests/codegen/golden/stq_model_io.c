/* SPDX-License-Identifier: LicenseRef-stq-deploy-output */
/*
 * stq_model_io.c - pixels and numbers to input levels, output levels to numbers and classes.
 *
 * Written by stq-deploy 0.0.0; do not edit.
 * Model:   c8c0be740f4517722b356b3a9f85d603772ccb0bf8b4a989dc337645ed4ad7f7
 * Command: stq-deploy build --board x
 */
#include "stq_model.h"

#include <stddef.h>

#include "internal/stq_nn_elements.h"

/* The bits of a float: integers are compared the same way whatever the floating-point options of the compiler. */
typedef uint32_t __attribute__((may_alias)) float_bits;

#define ROWS 1 /* element i is converted by row i mod ROWS */
#define THRESHOLDS 255

/*
 * Floats as integers of the same order: the bits of a positive one, the complement of a negative one's magnitude. A level
 * is STQ_MODEL_INPUT_MINIMUM and the number of its row's thresholds that a value reaches.
 */
static const int32_t thresholds[ROWS * THRESHOLDS] = {
    989855745, 1002438656, 1008730113, 1012924416, 1016070145, 1018167296, 1020264449, 1022361600, 1023934465,
    1024983040, 1026031617, 1027080192, 1028128769, 1029177344, 1030225921, 1031274496, 1032060929,
    1032585216, 1033109505, 1033633792, 1034158081, 1034682368, 1035206657, 1035730944, 1036255233,
    1036779520, 1037303809, 1037828096, 1038352385, 1038876672, 1039400961, 1039925248, 1040318465,
    1040580608, 1040842753, 1041104896, 1041367041, 1041629184, 1041891329, 1042153472, 1042415617,
    1042677760, 1042939905, 1043202048, 1043464193, 1043726336, 1043988481, 1044250624, 1044512769,
    1044774912, 1045037057, 1045299200, 1045561345, 1045823488, 1046085633, 1046347776, 1046609921,
    1046872064, 1047134209, 1047396352, 1047658497, 1047920640, 1048182785, 1048444928, 1048641537,
    1048772608, 1048903681, 1049034752, 1049165825, 1049296896, 1049427969, 1049559040, 1049690113,
    1049821184, 1049952257, 1050083328, 1050214401, 1050345472, 1050476545, 1050607616, 1050738689,
    1050869760, 1051000833, 1051131904, 1051262977, 1051394048, 1051525121, 1051656192, 1051787265,
    1051918336, 1052049409, 1052180480, 1052311553, 1052442624, 1052573697, 1052704768, 1052835841,
    1052966912, 1053097985, 1053229056, 1053360129, 1053491200, 1053622273, 1053753344, 1053884417,
    1054015488, 1054146561, 1054277632, 1054408705, 1054539776, 1054670849, 1054801920, 1054932993,
    1055064064, 1055195137, 1055326208, 1055457281, 1055588352, 1055719425, 1055850496, 1055981569,
    1056112640, 1056243713, 1056374784, 1056505857, 1056636928, 1056768001, 1056899072, 1056997377,
    1057062912, 1057128449, 1057193984, 1057259521, 1057325056, 1057390593, 1057456128, 1057521665,
    1057587200, 1057652737, 1057718272, 1057783809, 1057849344, 1057914881, 1057980416, 1058045953,
    1058111488, 1058177025, 1058242560, 1058308097, 1058373632, 1058439169, 1058504704, 1058570241,
    1058635776, 1058701313, 1058766848, 1058832385, 1058897920, 1058963457, 1059028992, 1059094529,
    1059160064, 1059225601, 1059291136, 1059356673, 1059422208, 1059487745, 1059553280, 1059618817,
    1059684352, 1059749889, 1059815424, 1059880961, 1059946496, 1060012033, 1060077568, 1060143105,
    1060208640, 1060274177, 1060339712, 1060405249, 1060470784, 1060536321, 1060601856, 1060667393,
    1060732928, 1060798465, 1060864000, 1060929537, 1060995072, 1061060609, 1061126144, 1061191681,
    1061257216, 1061322753, 1061388288, 1061453825, 1061519360, 1061584897, 1061650432, 1061715969,
    1061781504, 1061847041, 1061912576, 1061978113, 1062043648, 1062109185, 1062174720, 1062240257,
    1062305792, 1062371329, 1062436864, 1062502401, 1062567936, 1062633473, 1062699008, 1062764545,
    1062830080, 1062895617, 1062961152, 1063026689, 1063092224, 1063157761, 1063223296, 1063288833,
    1063354368, 1063419905, 1063485440, 1063550977, 1063616512, 1063682049, 1063747584, 1063813121,
    1063878656, 1063944193, 1064009728, 1064075265, 1064140800, 1064206337, 1064271872, 1064337409,
    1064402944, 1064468481, 1064534016, 1064599553, 1064665088, 1064730625, 1064796160, 1064861697,
    1064927232, 1064992769, 1065058304, 1065123841, 1065189376, 1065254913,
};

static int32_t level_of(float_bits bits, int32_t row)
{
    const uint32_t magnitude = bits & 0x7fffffffu;
    int32_t key = (bits >> 31) != 0u ? -1 - (int32_t)magnitude : (int32_t)magnitude;
    int32_t reached = 0;
    int32_t end = THRESHOLDS;

    if (magnitude > 0x7f800000u) {
        key = 0; /* NaN counts as 0 */
    }
    while (reached < end) {
        const int32_t middle = (reached + end) / 2;
        if (thresholds[row * THRESHOLDS + middle] <= key) {
            reached = middle + 1;
        } else {
            end = middle;
        }
    }
    return STQ_MODEL_INPUT_MINIMUM + reached;
}

void stq_model_quantize_f32(const float *values, stq_model_input_level *levels)
{
    const float_bits *bits = (const float_bits *)(const void *)values;

    for (int32_t i = 0; i < STQ_MODEL_INPUT_ELEMENTS; i++) {
        levels[i] = (stq_model_input_level)level_of(bits[i], i % ROWS);
    }
}

/* The level of every pixel, row by row. */
static const int8_t pixel_levels[ROWS * 256] = {
    -128, -127, -126, -125, -124, -123, -122, -121, -120, -119, -118, -117, -116, -115, -114, -113, -112,
    -111, -110, -109, -108, -107, -106, -105, -104, -103, -102, -101, -100, -99, -98, -97, -96, -95, -94, -93,
    -92, -91, -90, -89, -88, -87, -86, -85, -84, -83, -82, -81, -80, -79, -78, -77, -76, -75, -74, -73, -72,
    -71, -70, -69, -68, -67, -66, -65, -64, -63, -62, -61, -60, -59, -58, -57, -56, -55, -54, -53, -52, -51,
    -50, -49, -48, -47, -46, -45, -44, -43, -42, -41, -40, -39, -38, -37, -36, -35, -34, -33, -32, -31, -30,
    -29, -28, -27, -26, -25, -24, -23, -22, -21, -20, -19, -18, -17, -16, -15, -14, -13, -12, -11, -10, -9,
    -8, -7, -6, -5, -4, -3, -2, -1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
    22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47,
    48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 70, 71, 72, 73,
    74, 75, 76, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 90, 91, 92, 93, 94, 95, 96, 97, 98, 99,
    100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112, 113, 114, 115, 116, 117, 118, 119, 120,
    121, 122, 123, 124, 125, 126, 127, 127,
};

void stq_model_quantize_u8(const uint8_t *pixels, stq_model_input_level *levels)
{
    for (int32_t i = 0; i < STQ_MODEL_INPUT_ELEMENTS; i++) {
        levels[i] = pixel_levels[256 * (i % ROWS) + (int32_t)pixels[i]];
    }
}

typedef struct {
    stq_type type;
    int32_t elements;
} output_form;

static const output_form output_forms[STQ_MODEL_OUTPUTS] = {
    {.type = STQ_S32, .elements = 3},
};

/* The number that a level of an output stands for. */
static float number_of(int32_t output, int32_t level)
{
    (void)output;
    return (float)level * 0.0009765625f;
}

stq_status stq_model_dequantize(const stq_model_context *network, int32_t output, float *values)
{
    const void *levels = stq_model_output(network, output);

    if (levels == NULL) {
        return STQ_ARGUMENT_ERROR;
    }
    for (int32_t i = 0; i < output_forms[output].elements; i++) {
        values[i] = number_of(output, stq_level(levels, output_forms[output].type, i));
    }
    return STQ_OK;
}

int32_t stq_model_argmax(const stq_model_context *network, int32_t output)
{
    const void *levels = stq_model_output(network, output);
    int32_t largest = 0;

    if (levels == NULL) {
        return -1;
    }
    for (int32_t i = 1; i < output_forms[output].elements; i++) {
        const stq_type type = output_forms[output].type;
        if (stq_level(levels, type, i) > stq_level(levels, type, largest)) {
            largest = i;
        }
    }
    return largest;
}
