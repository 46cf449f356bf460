// Names for clang's thread-safety attributes; nothing on other compilers.
#ifndef EMBEDFLOW_BASE_THREAD_ANNOTATIONS_H_
#define EMBEDFLOW_BASE_THREAD_ANNOTATIONS_H_

#if defined(__clang__)
#define EF_ATTRIBUTE_(x) __attribute__((x))
#else
#define EF_ATTRIBUTE_(x)
#endif

#define EF_CAPABILITY(x) EF_ATTRIBUTE_(capability(x))
#define EF_SCOPED_CAPABILITY EF_ATTRIBUTE_(scoped_lockable)
#define EF_GUARDED_BY(x) EF_ATTRIBUTE_(guarded_by(x))
#define EF_REQUIRES(...) EF_ATTRIBUTE_(requires_capability(__VA_ARGS__))
#define EF_ACQUIRE(...) EF_ATTRIBUTE_(acquire_capability(__VA_ARGS__))
#define EF_RELEASE(...) EF_ATTRIBUTE_(release_capability(__VA_ARGS__))
#define EF_EXCLUDES(...) EF_ATTRIBUTE_(locks_excluded(__VA_ARGS__))

#endif  // EMBEDFLOW_BASE_THREAD_ANNOTATIONS_H_
