// Everything of the public C++ API.
#ifndef FASTVLM_FASTVLM_H_
#define FASTVLM_FASTVLM_H_

#include "fastvlm/benchmark.h"
#include "fastvlm/calibration.h"
#include "fastvlm/compare.h"
#include "fastvlm/engine.h"
#include "fastvlm/image.h"
#include "fastvlm/logits.h"
#include "fastvlm/model.h"
#include "fastvlm/options.h"
#include "fastvlm/quantize.h"
#include "fastvlm/session.h"
#include "fastvlm/status.h"
#include "fastvlm/system.h"

#endif  // FASTVLM_FASTVLM_H_
