print("sdtune")
