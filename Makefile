.PHONY: demo test check bench soak docs lock
demo test check bench soak docs lock:
	./dev $@
