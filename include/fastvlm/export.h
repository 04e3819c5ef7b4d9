// Marks what the shared library shows. Everything else in it is hidden.
#ifndef FASTVLM_EXPORT_H_
#define FASTVLM_EXPORT_H_

#if defined(__GNUC__)
#define FASTVLM_EXPORT __attribute__((visibility("default")))
// For what stands in an exported class without being a part of the API.
#define FASTVLM_HIDDEN __attribute__((visibility("hidden")))
#else
#define FASTVLM_EXPORT
#define FASTVLM_HIDDEN
#endif

#endif  // FASTVLM_EXPORT_H_
