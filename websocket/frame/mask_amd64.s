//go:build !purego

#include "textflag.h"

// func maskAVX2(b []byte, key uint64) int
TEXT ·maskAVX2(SB), NOSPLIT, $0-40
	MOVQ         b_base+0(FP), DI
	MOVQ         b_len+8(FP), CX
	ANDQ         $~127, CX
	MOVQ         CX, ret+32(FP)
	VPBROADCASTQ key+24(FP), Y0
	PCALIGN      $32

loop:
	VPXOR   (DI), Y0, Y1
	VPXOR   32(DI), Y0, Y2
	VPXOR   64(DI), Y0, Y3
	VPXOR   96(DI), Y0, Y4
	VMOVDQU Y1, (DI)
	VMOVDQU Y2, 32(DI)
	VMOVDQU Y3, 64(DI)
	VMOVDQU Y4, 96(DI)
	ADDQ    $128, DI
	SUBQ    $128, CX
	JNZ     loop
	VZEROUPPER
	RET

// func detectAVX2() bool
TEXT ·detectAVX2(SB), NOSPLIT, $0-1
	MOVB  $0, ret+0(FP)
	XORL  AX, AX
	CPUID
	CMPL  AX, $7             // the highest leaf
	JLT   done
	MOVL  $1, AX
	XORL  CX, CX
	CPUID
	ANDL  $0x18000000, CX    // OSXSAVE and AVX
	CMPL  CX, $0x18000000
	JNE   done
	XORL  CX, CX
	XGETBV
	ANDL  $6, AX             // the system saves the registers X and Y
	CMPL  AX, $6
	JNE   done
	MOVL  $7, AX
	XORL  CX, CX
	CPUID
	SHRL  $5, BX             // AVX2
	ANDL  $1, BX
	MOVB  BX, ret+0(FP)

done:
	RET
