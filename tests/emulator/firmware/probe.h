/* The smallest firmware that can be asked something: start-up, USART3 at 921600 baud from HSI, a fault report. */
#ifndef PROBE_H
#define PROBE_H

#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define RCC_AHB2ENR REGISTER(0x580244DCu)
#define RCC_AHB4ENR REGISTER(0x580244E0u)
#define RCC_APB1LENR REGISTER(0x580244E8u)
#define GPIOD_MODER REGISTER(0x58020C00u)
#define GPIOD_AFRH REGISTER(0x58020C24u)
#define USART3_CR1 REGISTER(0x40004800u)
#define USART3_BRR REGISTER(0x4000480Cu)
#define USART3_ISR REGISTER(0x4000481Cu)
#define USART3_RDR REGISTER(0x40004824u)
#define USART3_TDR REGISTER(0x40004828u)
#define NVIC_ISER1 REGISTER(0xE000E104u)
#define SCB_CPACR REGISTER(0xE000ED88u)
#define SCB_AIRCR REGISTER(0xE000ED0Cu)
#define SCB_CCR REGISTER(0xE000ED14u)
#define SCB_SHCSR REGISTER(0xE000ED24u)
#define SCB_CFSR REGISTER(0xE000ED28u)
#define SCB_HFSR REGISTER(0xE000ED2Cu)
#define SCB_MMFAR REGISTER(0xE000ED34u)
#define SCB_BFAR REGISTER(0xE000ED38u)
#define DEMCR REGISTER(0xE000EDFCu)
#define DWT_CTRL REGISTER(0xE0001000u)
#define DWT_CYCCNT REGISTER(0xE0001004u)
#define DWT_LAR REGISTER(0xE0001FB0u)

#define RECEIVE_INTERRUPT (1u << 5)
#define ASM(text) __asm volatile(text ::: "r0", "r1", "r2", "r3", "r4", "r5", "cc", "memory")
#ifndef BRR
#define BRR 69u /* 64 MHz / 69 = 927,536 baud */
#endif

static inline void serial_start(uint32_t more)
{
    RCC_AHB4ENR |= 1u << 3;
    RCC_APB1LENR |= 1u << 18;
    GPIOD_AFRH = (GPIOD_AFRH & ~0xFFu) | 0x77u;
    GPIOD_MODER = (GPIOD_MODER & ~(0xFu << 16)) | (0xAu << 16);
    USART3_CR1 = 1u << 29;
    USART3_BRR = BRR;
    USART3_CR1 = (1u << 29) | 0xDu | more;
}

static inline void put(uint8_t byte)
{
    while ((USART3_ISR & (1u << 7)) == 0) {
    }
    USART3_TDR = byte;
}

static inline void put_word(uint32_t word)
{
    for (int i = 0; i < 32; i += 8) {
        put((uint8_t)(word >> i));
    }
}

static inline void enable_fpu(void)
{
    SCB_CPACR |= 0xFu << 20;
    ASM("dsb\nisb");
}

static inline void start_counter(void)
{
    DEMCR |= 1u << 24;
    DWT_LAR = 0xC5ACCE55u;
    DWT_CYCCNT = 0;
    DWT_CTRL |= 1u;
}

__attribute__((noinline)) void probe(void);           /* what the test wants to see */
__attribute__((weak)) void receive_interrupt(void);    /* USART3 */
__attribute__((weak)) void supervisor_call(void);

extern uint32_t stack_top[], fault_stack_top[], data_start[], data_end[], data_image[], bss_start[], bss_end[];

/* Eight words: "FALT", exception, CFSR, HFSR, MMFAR, BFAR, stacked PC, EXC_RETURN. */
__attribute__((used, noreturn)) static void report(const uint32_t *frame, uint32_t exc_return)
{
    uint32_t number;
    __asm volatile("mrs %0, ipsr" : "=r"(number));
    serial_start(0);
    uint32_t in_stack = frame >= (uint32_t *)0x20000000u && frame <= stack_top - 8;
    const uint32_t words[8] = {0x544C4146u, number,   SCB_CFSR,  SCB_HFSR, SCB_MMFAR,
                               SCB_BFAR,    in_stack ? frame[6] : 0, exc_return};
    for (int i = 0; i < 8; i++) {
        put_word(words[i]);
    }
    for (;;) {
        ASM("wfi");
    }
}

__attribute__((naked)) void fault(void)
{
    __asm volatile("cpsid i\nmrs r0, msp\nmov r1, lr\nldr r2, =fault_stack_top\nmsr msp, r2\nb report\n.ltorg");
}

__attribute__((used, noreturn)) static void start(void)
{
    uint32_t *from = data_image;
    for (uint32_t *to = data_start; to < data_end;) {
        *to++ = *from++;
    }
    for (uint32_t *to = bss_start; to < bss_end;) {
        *to++ = 0;
    }
    probe();
    for (;;) {
        ASM("wfi");
    }
}

__attribute__((naked, noreturn)) void reset(void)
{
    __asm volatile("b start");
}

typedef union {
    void (*handler)(void);
    uint32_t *stack;
} vector;

__attribute__((section(".vectors"), used)) const vector vectors[16 + 64] = {
    [0] = {.stack = stack_top},   [1] = {reset},          [2 ... 10] = {fault}, [11] = {supervisor_call},
    [12 ... 54] = {fault},        [55] = {receive_interrupt}, [56 ... 79] = {fault},
};

#endif
